// All capacities, one profile per class of machine.
//
// What may be changed while the system runs is a key in app/config.c; what costs static memory is a number here.
// `make ram` prints what each of them costs. A profile is chosen with PROFILE=sim|medium|small, or PROFILE=tls for the
// smallest board.
#ifndef PIPIT_LIMITS_H
#define PIPIT_LIMITS_H

#if defined(PIPIT_PROFILE_SMALL) // 64 KB of RAM: a Cortex-M3 with on-chip Ethernet

#define HUB_CLIENTS        12
#define HUB_HISTORY        40       // events kept, at most
#define HUB_RING_TEXT      2048     // bytes of finished plain-text frames kept
#define HUB_RING_JSON      4096     // bytes of finished JSON frames kept
#define HUB_OFFSET         uint16_t // of a frame in either
#define HUB_MESSAGE        512      // bytes of one chat message
#define HUB_FRAME          1216     // bytes of its frame in JSON; what escapes make longer is refused to its sender
#define HUB_REPLY          512      // bytes of the longest frame to one client: a page of the roster, a notice
#define HUB_FLIGHT         1072     // bytes by reference on the way to one client
#define HUB_QUEUE          4        // buffers of lwIP's that one client may hold
#define HUB_RESCUES        1        // buffers for what is on the way to clients that vanished
#define HUB_RESCUE         1280     // bytes of one; whoever has more on the way is cut off
#define HUB_ASSEMBLIES     2        // messages and control frames arriving in pieces at once
#define HTTP_CONNECTIONS   5        // beside the chat clients
#define HTTP_EXCHANGES     2        // requests being answered at once
#define HTTP_LOBBY         2        // connections that wait for one of those, each with a received frame or two
#define HTTP_QUEUE         4        // buffers of lwIP's that a reply by reference may hold
#define HTTP_KEEP          320 // bytes of a request's target and of those of its header fields that mean something here
#define HTTP_BODY          640 // bytes of a request body
#define JSON_ARENA         1280 // bytes that a parsed body takes: a node for each value, and a copy of each string
#define SCRATCH_BYTES      1280 // of memory that is taken and given back within a turn (port/scratch.h)
#define RATE_ADDRESSES     8    // peer addresses remembered by the rate limit
#define TRIES_PAIRS        4    // addresses that were wrong about a name (services/gateway/tries.h)
#define TRIES_NAMES        2    // names that addresses were wrong about
#define TRIES_ADDRESSES    4    // addresses that were wrong about anything
#define GUARD_LIST         128  // bytes of http.origins, and of http.names
#define USERS_MAX          32
#define USERS_TEXT_EACH    48   // bytes of name and email of one, on average
#define USERS_ROUNDS       1000 // PBKDF2 iterations
#define USERS_ROUNDS_SLICE 20   // of them in one turn of the loop
#define CODES_MAX          8    // emails with a verification code under way
#define TOKENS_MAX         24
#define NODES_LIST         40  // bytes of status.nodes, which has no use here: this class has itself alone
#define NODES_PROBES       0   // chat nodes being asked at once
#define TOKENS_EACH        4   // of one user
#define RPC_CHANNELS       1   // targets of the gate that are connected
#define RPC_CONNECTIONS    2   // HTTP/2 connections to the gRPC server; RPC_CHANNELS of them for the gate alone
#define RPC_STREAMS        2   // calls that one of them may have at once
#define RPC_CALLS          3   // calls being answered, of all of them; at least half of them for the gate alone
#define RPC_TABLE          512 // bytes of header compression's table, for each one that is not the gate's
#define RPC_FIELDS         160 // bytes of one header field of a call
#define RPC_REQUESTS       2   // calls of our own under way
#define RPC_MESSAGE        544 // bytes of the largest message of a call
#define MAIL_QUEUE         2   // letters waiting for the relay or on their way to it
#define MAIL_SESSIONS      1   // of them being handed over
#define MAIL_BODY          256 // bytes of a letter
#define MAIL_OUT           256 // bytes written to the relay at once
#define MAIL_NAME          64  // bytes of mail.host, mail.user and mail.password
#define MAIL_FROM          128 // bytes of mail.from
#define MAIL_CA            40  // bytes of mail.ca, which has no use here: this class has no TLS
#define MAIL_SUBJECT       64  // bytes of mail.subject
#define MAIL_WHY           144 // bytes of the sentence of a failure
#define NET_SPARE          2   // connections beside the clients and HTTP: to say 503, or lingering in close
#define SHELL_LINE         192 // bytes of a line typed at the console
#define LINE_HISTORY       96  // bytes of the lines typed before
#define LOG_BURST          40  // lines of one module at once
#define LOG_PER_SECOND     5   // lines of one module for ever
#define SYSLOG_QUEUE       0   // bytes of lines waiting to go to log.host; 0: this class has no syslog
#define SYSLOG_HOST        2   // bytes of log.host
#define TLS_SESSIONS       0   // whose tasks the compiler leaves out
#define JOURNAL_BLOB       0   // bytes of the longest blob of the journal; this class keeps none
#define BOOT_NOTE          512 // bytes of what an emulator or a debugger may hand over at the start

#elif defined(PIPIT_PROFILE_TLS) // the same 64 KB with a TLS server, for a third of the people

#define HUB_CLIENTS        4
#define HUB_HISTORY        16
#define HUB_RING_TEXT      832
#define HUB_RING_JSON      1536
#define HUB_OFFSET         uint16_t
#define HUB_MESSAGE        256
#define HUB_FRAME          704
#define HUB_REPLY          512
#define HUB_FLIGHT         1072
#define HUB_QUEUE          4
#define HUB_RESCUES        1
#define HUB_RESCUE         768
#define HUB_ASSEMBLIES     1
#define HTTP_CONNECTIONS   3
#define HTTP_EXCHANGES     2
#define HTTP_LOBBY         2
#define HTTP_QUEUE         4
#define HTTP_KEEP          320
#define HTTP_BODY          640
#define JSON_ARENA         1280
#define SCRATCH_BYTES      1280
#define RATE_ADDRESSES     8
#define TRIES_PAIRS        4
#define TRIES_NAMES        2
#define TRIES_ADDRESSES    4
#define GUARD_LIST         128
#define USERS_MAX          16
#define USERS_TEXT_EACH    48
#define USERS_ROUNDS       1000
#define USERS_ROUNDS_SLICE 20
#define CODES_MAX          4
#define TOKENS_MAX         10
#define NODES_LIST         40
#define NODES_PROBES       0
#define TOKENS_EACH        4
#define RPC_CHANNELS       1
#define RPC_CONNECTIONS    2
#define RPC_STREAMS        2
#define RPC_CALLS          2
#define RPC_TABLE          256
#define RPC_FIELDS         160
#define RPC_REQUESTS       2
#define RPC_MESSAGE        544
#define MAIL_QUEUE         1
#define MAIL_SESSIONS      1
#define MAIL_BODY          256
#define MAIL_OUT           256
#define MAIL_NAME          64
#define MAIL_FROM          128
#define MAIL_CA            40
#define MAIL_SUBJECT       64
#define MAIL_WHY           144
#define NET_SPARE          2
#define SHELL_LINE         192
#define LINE_HISTORY       96
#define LOG_BURST          40
#define LOG_PER_SECOND     5
#define SYSLOG_QUEUE       0
#define SYSLOG_HOST        2
#define BOOT_NOTE          512
#define JOURNAL_BLOB       768
#define TLS_SESSIONS       0 // this class is no client: to relays it goes in the clear
#define TLS_SERVED         2 // with 4.7 KB of the arena each, and 2.2 KB more during a handshake
#define TLS_HANDSHAKES     1
#define TLS_FLIGHT         1216
#define TLS_ARENA          14336
#define TLS_IN             2048 // bytes of a record that comes in; a longer one ends its session with an alert
#define TLS_OUT            640
#define TLS_IDENTITY       3072
#define TLS_CHAIN          575 // bytes of the one certificate that the device makes itself
#define TLS_RSA_MOST       0   // bits of an RSA key: there is no RSA
#define TLS_KEY            128

#elif defined(PIPIT_PROFILE_MEDIUM) // a few MB of RAM

#define HUB_CLIENTS        64
#define HUB_HISTORY        512
#define HUB_RING_TEXT      65536
#define HUB_RING_JSON      131072
#define HUB_OFFSET         uint32_t
#define HUB_MESSAGE        1024
#define HUB_FRAME          HUB_FRAME_WORST
#define HUB_REPLY          1024
#define HUB_FLIGHT         8192
#define HUB_QUEUE          8
#define HUB_RESCUES        4
#define HUB_RESCUE         (2 * (HUB_FLIGHT + HUB_FRAME))
#define HUB_ASSEMBLIES     8
#define HTTP_CONNECTIONS   16
#define HTTP_EXCHANGES     8
#define HTTP_LOBBY         8
#define HTTP_QUEUE         8
#define HTTP_KEEP          512
#define HTTP_BODY          2048
#define JSON_ARENA         (HTTP_BODY + 1024)
#define SCRATCH_BYTES      3072
#define RATE_ADDRESSES     64
#define TRIES_PAIRS        64
#define TRIES_NAMES        32
#define TRIES_ADDRESSES    64
#define GUARD_LIST         256
#define USERS_MAX          512
#define USERS_TEXT_EACH    64
#define USERS_ROUNDS       10000
#define USERS_ROUNDS_SLICE 50
#define CODES_MAX          64
#define TOKENS_MAX         512
#define NODES_LIST         256
#define NODES_MAX          8
#define NODES_PROBES       2
#define TOKENS_EACH        8
#define RPC_CHANNELS       2
#define RPC_CONNECTIONS    4
#define RPC_STREAMS        16
#define RPC_CALLS          32
#define RPC_TABLE          4096
#define RPC_FIELDS         1024
#define RPC_REQUESTS       16
#define RPC_MESSAGE        640
#define MAIL_QUEUE         16
#define MAIL_SESSIONS      2
#define MAIL_BODY          320
#define MAIL_OUT           512
#define MAIL_NAME          128
#define MAIL_FROM          (EMAIL_MAX_BYTES + 1)
#define MAIL_CA            192
#define MAIL_SUBJECT       128
#define MAIL_WHY           200
#define SHELL_LINE         320
#define LINE_HISTORY       1024
#define LOG_BURST          100
#define LOG_PER_SECOND     10
#define SYSLOG_QUEUE       4096
#define SYSLOG_HOST        128
#define NET_SPARE          8
#define JOURNAL_BLOB       4096
#define BOOT_NOTE          16384
#define TLS_SESSIONS       2                       // to relays
#define TLS_SERVED         8                       // of clients, with 25 KB of the arena each
#define TLS_HANDSHAKES     3                       // of them under way at once; the others wait
#define TLS_FLIGHT         8192                    // bytes on the way to one client
#define TLS_ARENA          (327680 + TLS_IDENTITY) // bytes that all of them share
#define TLS_IN             16384 // bytes of a record that comes in; a peer may send 16384 unless it agrees on less
#define TLS_OUT            4096  // bytes of a record that goes out
#define TLS_RSA_MOST       2048  // bits of an RSA key; one of 4096 takes ten times as long as EC, in one turn
#define TLS_IDENTITY       10240 // bytes of TLS_ARENA that the device's own certificates hold at most, two of them

#else // the simulator

#define HUB_CLIENTS        1100
#define HUB_HISTORY        8192
#define HUB_RING_TEXT      (1u << 20)
#define HUB_RING_JSON      (1u << 21)
#define HUB_OFFSET         uint32_t
#define HUB_MESSAGE        1024
#define HUB_FRAME          HUB_FRAME_WORST
#define HUB_REPLY          1024
#define HUB_FLIGHT         65536
#define HUB_QUEUE          8
#define HUB_RESCUES        16
#define HUB_RESCUE         (2 * (HUB_FLIGHT + HUB_FRAME))
#define HUB_ASSEMBLIES     128
#define HTTP_CONNECTIONS   256
#define HTTP_EXCHANGES     128
#define HTTP_LOBBY         32
#define HTTP_QUEUE         8
#define HTTP_KEEP          512
#define HTTP_BODY          4096
#define JSON_ARENA         (HTTP_BODY + 1024)
#define SCRATCH_BYTES      5120
#define RATE_ADDRESSES     1024
#define TRIES_PAIRS        1024
#define TRIES_NAMES        256
#define TRIES_ADDRESSES    256
#define GUARD_LIST         256
#define USERS_MAX          4096
#define USERS_TEXT_EACH    64
#define USERS_ROUNDS       100000
#define USERS_ROUNDS_SLICE 500
#define CODES_MAX          1024
#define TOKENS_MAX         4096
#define NODES_LIST         256
#define NODES_MAX          8
#define NODES_PROBES       2
#define TOKENS_EACH        16
#define RPC_CHANNELS       2
#define RPC_CONNECTIONS    32
#define RPC_STREAMS        128
#define RPC_CALLS          512
#define RPC_TABLE          4096
#define RPC_FIELDS         8192
#define RPC_REQUESTS       256
#define RPC_MESSAGE        640
#define MAIL_QUEUE         256
#define MAIL_SESSIONS      8
#define MAIL_BODY          320
#define MAIL_OUT           512
#define MAIL_NAME          128
#define MAIL_FROM          (EMAIL_MAX_BYTES + 1)
#define MAIL_CA            192
#define MAIL_SUBJECT       128
#define MAIL_WHY           200
#define SHELL_LINE         320
#define LINE_HISTORY       4096
#define LOG_BURST          250
#define LOG_PER_SECOND     50
#define SYSLOG_QUEUE       16384
#define SYSLOG_HOST        128
#define NET_SPARE          64
#define TLS_SESSIONS       8
#define TLS_SERVED         64
#define TLS_HANDSHAKES     8
#define TLS_FLIGHT         32768
#define TLS_ARENA          ((5u << 19) + TLS_IDENTITY)
#define TLS_IN             16384
#define TLS_OUT            4096
#define TLS_RSA_MOST       4096
#define JOURNAL_BLOB       4096
#define TLS_IDENTITY       16384
#define BOOT_NOTE          16384 // a host has none but in tests

#endif

// The TLS identity (port/tls/identity.h), where there is one.
#if !defined(TLS_CHAIN)
#define TLS_CHAIN 4048 // bytes of the certificate and those behind it, which go out in one record (TLS_OUT)
#define TLS_KEY   2432 // bytes of its key; RSA of 4096 bits takes 2374
#endif

#define RPC_LIST_MAX 8192 // SETTINGS_MAX_HEADER_LIST_SIZE, what other implementations take too

#define NET_CONNECTIONS                                                                                                \
    (HUB_CLIENTS + HTTP_CONNECTIONS + RPC_CONNECTIONS + RPC_CHANNELS + MAIL_SESSIONS + NODES_PROBES + NET_SPARE)

// A message of nothing but control characters, six bytes each in JSON, and two of the longest names around it.
#define HUB_FRAME_WORST (6 * HUB_MESSAGE + 4 * NAME_MAX_BYTES + 160)

// What only explains a metric or a key: HELP("a sentence"), the member that holds it, and what shows it. They come to 7
// KB, which a class whose flash is as short as its RAM spends better: Prometheus asks for none, and its console shows
// none.
#if defined(PIPIT_PROFILE_SMALL) || defined(PIPIT_PROFILE_TLS)
#define HELP(...)
#else
#define HELP(...) __VA_ARGS__
#endif

// Bounds that people meet (README, "The wire").
#define NAME_MAX_BYTES     32
#define EMAIL_MAX_BYTES    254
#define PASSWORD_MIN_BYTES 6
#define PASSWORD_MAX_BYTES 64
#define CODE_DIGITS        6
#define CODE_MAX_BYTES     16 // of a foreign verify service's
#define TOKEN_MAX_BYTES    64 // of a foreign status service's

#endif
