// What net_start.c, net.c and the main loop share; nobody else includes it.
#ifndef PIPIT_NET_PRIVATE_H
#define PIPIT_NET_PRIVATE_H

#include "text.h"

struct netif;
struct tcp_pcb;

// The machine's interface, for port_netif_poll().
extern struct netif net_interface;

// lwIP's own, for 127.0.0.1.
extern struct netif *net_loopback;

// Readies the slots; after lwip_init().
void net_connections_start(void);

/// net_setup.c: the address ///

// Reads the settings; false after saying on the console what is wrong.
bool net_setup_read(void);

// The interface is up: begins to get an address.
void net_setup_start(void);
void net_setup_poll(void);

/// net_names.c: the name ///

void net_names_start(void);
void net_names_poll(void);

// The link came up, or the address is another one: claims the name anew.
void net_names_restart(void);

// Writes "http://192.168.1.20/ and http://pipit.local/".
void net_names_url(struct text *out);

/// net_time.c: the time ///

void net_time_start(void);
void net_time_poll(void);

// There may be a better way to a server than before: asks soon.
void net_time_soon(void);

// demux.c, to net.c: lwIP frees this PCB.
void net_pcb_destroyed(const struct tcp_pcb *pcb);

#endif
