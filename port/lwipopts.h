// lwIP's options: first what holds on every machine, then what a profile can afford.
#ifndef PIPIT_LWIPOPTS_H
#define PIPIT_LWIPOPTS_H

#include "app/limits.h"

/// The shape: one loop, raw API, no heap of the C library ///

#define NO_SYS                    1
#define SYS_LIGHTWEIGHT_PROT      0
#define LWIP_NETCONN              0
#define LWIP_SOCKET               0
#define LWIP_RAW                  0
#define LWIP_IPV6                 0
#define LWIP_UDP                  1
#define LWIP_DNS                  1
#define LWIP_STATS                0
#define MEM_LIBC_MALLOC           0
#define MEMP_MEM_MALLOC           0
#define MEM_ALIGNMENT             (UINTPTR_MAX > UINT32_MAX ? 8 : 4)
#define LWIP_CALLBACK_API         1
#define LWIP_NETIF_HOSTNAME       1
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define LWIP_NO_CTYPE_H           1 // its own few lines: the C library's have a table

/// Loopback: the gate reaches the services of its own machine over TCP too ///

#define LWIP_HAVE_LOOPIF                   1
#define LWIP_NETIF_LOOPBACK                1
#define LWIP_NETIF_LOOPBACK_MULTITHREADING 0
#define LWIP_LOOPBACK_MAX_PBUFS            64

/// TCP ///

// The range of RFC 6335 for the near ends of what we dial. lwIP steps on from a random one of it, and its own way to
// choose that may take 65535, behind which it finds port 0: once in 16,384 starts the first dial failed, and the next
// ones came from ports 1, 2, 3.
#define TCP_LOCAL_PORT_RANGE_START        0xc000
#define TCP_LOCAL_PORT_RANGE_END          0xffff
#define TCP_ENSURE_LOCAL_PORT_RANGE(port) ((u16_t)(TCP_LOCAL_PORT_RANGE_START + (port) % 0x3fff))

#define TCP_LISTEN_BACKLOG         1
#define TCP_DEFAULT_LISTEN_BACKLOG 255
#define TCP_OVERSIZE               0    // a reference is followed by a reference, not by copied bytes
#define TCP_MSL                    1000 // TIME_WAIT of 2 s: lwIP's own minute would eat the PCBs
#define LWIP_TCP_KEEPALIVE         0
#define LWIP_TCP_PCB_NUM_EXT_ARGS  1 // demux.c's node
// Those in TIME_WAIT are the first to go when a PCB is needed; some are kept apart, lest each of them goes at once.
#define MEMP_NUM_TCP_PCB (NET_CONNECTIONS + NET_TIME_WAIT)

/// The address, the name and the time ///

#define LWIP_DHCP                      1
#define LWIP_DHCP_DOES_ACD_CHECK       0 // probing an address that a server has just given takes 7.7 s
#define LWIP_DHCP_GET_NTP_SRV          1
#define LWIP_DHCP_MAX_NTP_SERVERS      2
#define LWIP_AUTOIP                    1
#define LWIP_DHCP_AUTOIP_COOP          1
#define LWIP_DHCP_AUTOIP_COOP_TRIES    3 // unanswered DISCOVERs, at 0, 2 and 6 s; at 14 s AutoIP begins to probe
#define LWIP_IGMP                      1
#define MEMP_NUM_IGMP_GROUP            2 // 224.0.0.1, which every host is in, and mDNS's 224.0.0.251
#define LWIP_MDNS_RESPONDER            1
#define LWIP_NUM_NETIF_CLIENT_DATA     1   // mDNS's
#define MDNS_MAX_SERVICES              1   // _http._tcp
#define MDNS_MAX_STORED_PKTS           1   // questions that wait for their known answers, each in a buffer of the pool
#define MDNS_OUTPUT_PACKET_SIZE        384 // every record of ours with the longest name, and a legacy question
#define MDNS_RESP_USENETIF_EXTCALLBACK 0   // net_setup.c sees every change, and says so itself
// LWIP_MDNS_SEARCH must be 0 for #if and is taken for set by #ifdef in two headers; both compile.
#define LWIP_MDNS_SEARCH 0

// DNS takes a fresh PCB for a question while there are some, so two for that; DHCP's, mDNS's and SNTP's are there for
// good, and so is syslog's where there is one.
#define MEMP_NUM_UDP_PCB (4 + LWIP_MDNS_RESPONDER + (SYSLOG_QUEUE > 0))

// mDNS's own timers: probing and announcing, three pauses between multicasts, two delayed answers, and one for each
// question whose known answers come in another packet. An empty pool is an assertion of lwIP's, so it has to be all.
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 6 + MDNS_MAX_STORED_PKTS)

// hooks.h names LWIP_HOOK_IP4_INPUT (demux.c), LWIP_HOOK_TCP_ISN (net_start.c) and LWIP_HOOK_TCP_INPACKET_PCB (net.c).
#define LWIP_HOOK_FILENAME "hooks.h"

/// What a profile can afford ///

#if defined(PIPIT_PROFILE_SMALL)
// What is out of order is sent again, and what comes in fragments is not taken: nothing that we speak needs either.
#define IP_REASSEMBLY           0
#define IP_FRAG                 0
#define TCP_QUEUE_OOSEQ         0
#define ARP_TABLE_SIZE          6
#define DNS_TABLE_SIZE          2
#define DNS_MAX_NAME_LENGTH     128
#define MEMP_NUM_TCP_PCB_LISTEN 3
#define NET_TIME_WAIT           2
#define TCP_MSS                 536
#define TCP_WND                 1072
#define TCP_SND_BUF             2144 // counted, not held: chat goes out by reference
#define TCP_SND_QUEUELEN        16
#define MEMP_NUM_TCP_SEG        32
#define MEMP_NUM_PBUF           32
#define PBUF_POOL_SIZE          7
#define NET_SMALL_FRAME         128 // port/frame.h
#define PBUF_POOL_BUFSIZE       592 // a whole frame: in two, each message would need an assembly of the hub's
#define MEM_SIZE                4736
#define NET_SEND_MAX            1024
#define NET_HELD_PBUFS          2
#define DEMUX_BUCKETS           16
#define ETH_PAD_SIZE            2 // IP headers on word boundaries; the boards' Ethernet FIFOs want the same
#elif defined(PIPIT_PROFILE_TLS)
// The same for fewer people, and without mDNS, whose flash TLS has; what goes out through TLS is copied.
#undef LWIP_IGMP
#undef LWIP_MDNS_RESPONDER
#undef MEMP_NUM_SYS_TIMEOUT
#define LWIP_IGMP               0
#define LWIP_MDNS_RESPONDER     0
#define MEMP_NUM_SYS_TIMEOUT    LWIP_NUM_SYS_TIMEOUT_INTERNAL
#define IP_REASSEMBLY           0
#define IP_FRAG                 0
#define TCP_QUEUE_OOSEQ         0
#define ARP_TABLE_SIZE          6
#define DNS_TABLE_SIZE          2
#define DNS_MAX_NAME_LENGTH     128
#define MEMP_NUM_TCP_PCB_LISTEN 4
#define NET_TIME_WAIT           2
#define TCP_MSS                 536
#define TCP_WND                 1072
#define TCP_SND_BUF             2144 // counted, not held: chat goes out by reference
#define TCP_SND_QUEUELEN        16
#define MEMP_NUM_TCP_SEG        24
#define MEMP_NUM_PBUF           24
#define PBUF_POOL_SIZE          5
#define NET_SMALL_FRAME         128 // port/frame.h
#define PBUF_POOL_BUFSIZE       592 // a whole frame: in two, each message would need an assembly of the hub's
#define MEM_SIZE                3584
#define NET_SEND_MAX            1024
#define NET_HELD_PBUFS          2
#define DEMUX_BUCKETS           16
#define ETH_PAD_SIZE            2 // IP headers on word boundaries; the boards' Ethernet FIFOs want the same
#elif defined(PIPIT_PROFILE_MEDIUM)
#define TCP_QUEUE_OOSEQ         1
#define TCP_OOSEQ_MAX_PBUFS     8
#define MEMP_NUM_TCP_PCB_LISTEN 4
#define NET_TIME_WAIT           (NET_CONNECTIONS / 4 + 4)
#define TCP_MSS                 1460
#define TCP_WND                 4096
#define TCP_SND_BUF             16384
#define TCP_SND_QUEUELEN        64
#define MEMP_NUM_TCP_SEG        512
#define MEMP_NUM_PBUF           512
#define PBUF_POOL_SIZE          64
#define NET_SMALL_FRAME         0
#define PBUF_POOL_BUFSIZE       1536
#define MEM_SIZE                131072
#define NET_SEND_MAX            4096
#define NET_HELD_PBUFS          4
#define DEMUX_BUCKETS           64
#define ETH_PAD_SIZE            2
#else
// The simulator. A window of 8 KB holds any message, and 1,000 hostile peers hold no more than the pools have.
#define TCP_QUEUE_OOSEQ                1
#define TCP_OOSEQ_MAX_PBUFS            8
#define MEMP_NUM_TCP_PCB_LISTEN        4
#define NET_TIME_WAIT                  (NET_CONNECTIONS / 4 + 4)
#define TCP_MSS                        65400
#define TCP_WND                        8192
#define TCP_SND_BUF                    1048560
#define TCP_SND_QUEUELEN               64
#define LWIP_WND_SCALE                 1
#define TCP_RCV_SCALE                  0
#define TCP_SNDLOWAT                   65535
#define MEMP_NUM_TCP_SEG               16384
#define MEMP_NUM_PBUF                  16384
#define PBUF_POOL_SIZE                 2048
#define NET_SMALL_FRAME                0
#define PBUF_POOL_BUFSIZE              1600
#define MEM_USE_POOLS                  1
#define MEMP_USE_CUSTOM_POOLS          1 // lwippools.h
#define MEM_USE_POOLS_TRY_BIGGER_POOL  1
#define NET_SEND_MAX                   16384
#define NET_HELD_PBUFS                 8
#define DEMUX_BUCKETS                  2048
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1 // the checks compare with MEM_SIZE's heap, which the pools replace
#endif

#define TCP_OOSEQ_MAX_BYTES (TCP_QUEUE_OOSEQ ? TCP_WND : 0)

// A netif behind a vnet header leaves TCP's checksums to the host.
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

#endif
