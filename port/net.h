// Connections: the only door to lwIP.
//
// A connection is a slot with an owner and a table of handlers. lwIP's callbacks only record what happened;
// net_poll() delivers it from the main loop. So no handler is ever re-entered, and a handler may send on, close or
// abort any connection, its own included, at any moment.
//
//     accepted or dialled --> opened --> data, room (any number) --> ended (the peer sends no more) --> closed
//
// `closed` comes exactly once and last, also for a dial that failed or was broken off before `opened` could be told
// (then without `opened`). A connection that was accepted and is broken off before anybody has heard of it is not told
// at all: neither `opened` nor `closed`. After `closed` the handle is somebody else's; within it every function may
// still be called and none has an effect.
#ifndef PIPIT_NET_H
#define PIPIT_NET_H

#include "span.h"

struct net_conn;

enum net_error {
    NET_OK = 0,
    NET_FULL = -1,       // no room just now: wait for `room`
    NET_CLOSED = -2,     // it is closing, or gone
    NET_RESET = -3,      // the peer or the path broke it off
    NET_TIMEOUT = -4,    // the deadline passed, or the peer vanished
    NET_NO_ADDRESS = -5, // the name could not be resolved
    NET_NO_SLOT = -6,    // every connection is taken, or lwIP has no memory for another one
    NET_ABORTED = -7,    // we broke it off with net_abort()
    NET_NO_ROUTE = -8,   // no interface leads to that address
};

// The name of an error in a word or two, for logs: "timeout".
const char *net_error_name(enum net_error error);

struct net_handlers {
    // It is there; net_send() works from now on.
    void (*opened)(struct net_conn *c);

    // Bytes have arrived. Returns how many of them were consumed. Those left over stay with lwIP, keep the peer's
    // window shut and are offered again, with what came behind them, after net_resume() or when more arrives.
    // `bytes` is valid during the call only.
    size_t (*data)(struct net_conn *c, const uint8_t *bytes, size_t length);

    // The peer has sent its last byte and all of them were consumed. Sending still works. NULL closes at once.
    void (*ended)(struct net_conn *c);

    // The peer has acknowledged something, so there may be room again; or net_watch_window() asked for it. Called once
    // per turn at most. May be NULL.
    void (*room)(struct net_conn *c);

    // It is over: 0 after a proper close, else why not. Nothing that was sent by reference is needed any longer.
    void (*closed)(struct net_conn *c, enum net_error why);

    // Somebody else needs what this connection holds. True when it only waited for more to do, and was closed by
    // net_close() or net_leave() for that; when it is `pressing`, because nobody did, also when its peer is slow. NULL:
    // it never does.
    bool (*spared)(struct net_conn *c, bool pressing);

    // A caller over the listener's per-address limit. net_send() of a last word works; it is closed right after, and
    // no other handler is called. NULL resets it.
    void (*refused)(struct net_conn *c);
};

/// Start and turn ///

// All but per_address count when net_start() reads them.
//
// Without a static address DHCP (RFC 2131) is asked for one. When nobody has answered for some 20 s the interface
// chooses one of 169.254.0.0/16 itself (AutoIP, RFC 3927) and goes on asking: a lease that comes later wins. When the
// link comes up again the lease is confirmed or replaced. An address that goes takes the connections bound to it along
// (`closed` with NET_TIMEOUT), but for one of 169.254.0.0/16. `gateway` and `dns` win over what DHCP tells. mDNS (RFC
// 6762) answers for NAME.local and the web server; when somebody else has the name already, ours becomes NAME-2, and so
// on. The console tells where we are whenever that changes. SNTP (RFC 4330) tells the machine the time
// (port_wall_set()); the servers that DHCP names are asked first, then `sntp`.
struct net_settings {
    char address[20]; // net.address: "10.0.2.15/24"; "dhcp" or "" for DHCP
    char gateway[16]; // net.gateway: "" for what DHCP tells
    char dns[16];     // net.dns: likewise
    char name[33];    // net.name: our host name, one label (RFC 1123); DHCP's option 12 has no room for a longer one
    char sntp[65];    // net.sntp: a time server's name or address; "" turns SNTP off
    uint32_t mdns;    // net.mdns: 0 turns mDNS off
    uint32_t per_address; // net.per_address: connections of one address to one port, 0 for no limit
};
extern struct net_settings net_settings;

// Starts lwIP and the interface. Returns 0, or -1 after saying on the console what is wrong.
int net_start(void);

// Delivers what was recorded since the last call and moves closing connections on. Once per turn.
void net_poll(void);

// Hands lwIP's output to the interface for every connection that sent something in this turn: once per turn, last.
void net_flush(void);

// Connections in use, those being closed included.
uint32_t net_open(void);

// True when net_poll() has something to deliver at once, so the loop must not sleep.
bool net_pending(void);

/// Listening and dialling ///

// Accepts connections on `port`. `*per_address` limits the connections that one peer address may have at once, 0
// for no limit; it is read at each accept. With `loopback_only` nothing but 127.0.0.0/8 of lwIP itself gets in.
// Returns 0, or -1 when the port is taken.
int net_listen(uint16_t port, bool loopback_only, const struct net_handlers *handlers, const uint32_t *per_address);

// The same for TLS 1.2 and 1.3: `opened` comes when hands were shaken, and from then on the handlers see plain bytes.
// `ended` comes with the peer's close_notify; whoever is cut off without is `closed` with NET_RESET. Callers that speak
// something else than `alpn` (RFC 7301) are refused; who names nothing is taken for NET_ALPN_HTTP1 alone. What this
// machine dials on 127.0.0.0/8 stays plain. -1 also where there is no TLS, or nobody to be: the log tells.
enum net_alpn { NET_ALPN_HTTP1, NET_ALPN_H2 };
int net_listen_tls(uint16_t port, bool loopback_only, enum net_alpn alpn, const struct net_handlers *handlers,
                   const uint32_t *per_address);

// 1 where net_listen_tls() can work.
bool net_has_tls(void);

struct net_tls_settings {
    uint32_t handshake_timeout; // tls.handshake_timeout: seconds from the first byte of a connection to an open session
};
extern struct net_tls_settings net_tls_settings;

// Stops accepting on every port; connections that are there stay.
void net_stop_listening(void);

// Opens a connection to `host` (a name or an address, copied) within `deadline_ms`, or `closed` tells why not.
// NULL when no slot is free or the name is too long.
struct net_conn *net_dial(struct span host, uint16_t port, uint32_t deadline_ms, const struct net_handlers *handlers,
                          void *owner);

/// One connection ///

void *net_owner(const struct net_conn *c);

// Another owner and another table, from now on; bytes not yet consumed go to the new one.
void net_hand_over(struct net_conn *c, const struct net_handlers *handlers, void *owner);

// Sends a copy of all of it, or nothing: NET_OK, NET_FULL or NET_CLOSED.
// At most NET_SEND_MAX bytes a call; that much fits whenever everything before it was acknowledged.
enum net_error net_send(struct net_conn *c, const void *bytes, size_t length);

// The same without a copy: `bytes` must stay as they are until net_acknowledged() has passed them, net_relocate() has
// moved them, or `closed` was called.
enum net_error net_send_reference(struct net_conn *c, const void *bytes, size_t length);

// True when net_send_reference() copies too, because it must: then nothing is needed any longer once it has returned.
bool net_copies(const struct net_conn *c);

// True for a connection of net_listen_tls().
bool net_secure(const struct net_conn *c);

// Bytes that one send could take just now; it may still answer NET_FULL when lwIP's memory is short.
size_t net_room(const struct net_conn *c);

// Bytes that the peer would accept right now: its window less what is on the way to it.
size_t net_window(const struct net_conn *c);

// Calls `room` once when the peer's next segment has arrived: it may announce a wider window without acknowledging
// anything.
void net_watch_window(struct net_conn *c);

// The widest window that the peer ever announced.
size_t net_window_most(const struct net_conn *c);

// net_room() for somebody who bounds what one peer can hold: the bytes that still fit when no more than `buffers` of
// lwIP's buffers, which all connections share, may hold what this one has not acknowledged. A send takes about two for
// each segment, however short.
size_t net_room_within(const struct net_conn *c, size_t buffers);

// Counters that wrap around: all bytes ever accepted by a send, and how many of them the peer has acknowledged.
uint32_t net_sent(const struct net_conn *c);
uint32_t net_acknowledged(const struct net_conn *c);

// What was sent by reference from within [from, from + length) and is not yet acknowledged is sent, or sent again,
// from the copy at `to` instead, which then has to stay.
void net_relocate(struct net_conn *c, const void *from, size_t length, const void *to);

// Offers the bytes that `data` left over once more, in the next turn.
void net_resume(struct net_conn *c);

// Ends it properly, in later turns: what was sent gets through, what still arrives is thrown away for a while so that
// no reset destroys our last words, then `closed`. A peer that takes too long is aborted. May be called again.
void net_close(struct net_conn *c);

// Ends it with a reset, at once; `closed` follows in a later turn. Wins over net_close().
void net_abort(struct net_conn *c);

// Its owner has no more to do with it: no handler is called any more, not even `closed`, and it ends as with
// net_close(); or at once, with net_abort() before or after.
void net_leave(struct net_conn *c);

/// Addresses ///

// The peer's IPv4 address as a number (host order), and as text "192.0.2.1" into a buffer of 16 bytes.
uint32_t net_peer_address(const struct net_conn *c);
const char *net_address_text(uint32_t address, char buffer[16]);

// Reads such a text, the whole of it. Not with leading zeros: to some readers they mean octal.
bool net_address_read(struct span text, uint32_t *address);

// Our own address on the interface, 0 while there is none.
uint32_t net_own_address(void);

// The router's, likewise.
uint32_t net_own_gateway(void);

// How it was got. NET_ORIGIN_NONE also while a lease waits to be confirmed after the link came up.
enum net_origin { NET_ORIGIN_NONE, NET_ORIGIN_STATIC, NET_ORIGIN_DHCP, NET_ORIGIN_AUTOIP };
enum net_origin net_own_origin(void);

// "none", "static", "dhcp" or "autoip".
const char *net_origin_name(enum net_origin origin);

// 1 while the interface has a link, else 0.
uint32_t net_link_up(void);

/// Our name ///

// The host name in use: net.name, or with a number behind it where mDNS found that taken.
const char *net_own_name(void);

// True for that name and net.name, each with or without ".local", in any case of letters.
bool net_is_own_name(struct span name);

// Tells the network by mDNS, and people on the console, of the web server on `port`. Once, after net_start().
void net_advertise_http(uint16_t port);

/// Counters for /metrics ///

struct net_counters {
    uint32_t accepted;
    uint32_t dialled;
    uint32_t refused; // over the per-address limit
    uint32_t no_slot; // reset because no slot was free
    uint32_t resets;  // broken off by the peer
    uint32_t timeouts;
    uint32_t relocated; // bytes moved out of the way by net_relocate()
};
extern struct net_counters net_counters;

// Why a TLS session with a client failed, or never began.
enum net_tls_failure {
    NET_TLS_HANDSHAKE, // what it sent is no handshake, or none that we know
    NET_TLS_RECORD,    // a record was changed on the way, or is none
    NET_TLS_ALERT,     // it said so
    NET_TLS_PROTOCOL,  // ALPN: it speaks something else
    NET_TLS_MEMORY,    // ours is short
    NET_TLS_LATE,      // it took too long
    NET_TLS_CUT,       // its end came without a close_notify
    NET_TLS_FAILURES,
};

struct net_tls_counters {
    uint32_t handshakes; // that succeeded, the resumed ones among them
    uint32_t resumed;
    uint32_t refused; // callers without a slot, or over the per-address limit
    uint32_t failed[NET_TLS_FAILURES];
};
extern struct net_tls_counters net_tls_counters;

uint32_t net_tls_sessions(void);

#endif
