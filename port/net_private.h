// What net_start.c, net.c and the main loop share; nobody else includes it.
#ifndef PIPIT_NET_PRIVATE_H
#define PIPIT_NET_PRIVATE_H

struct netif;

// The machine's interface, for port_netif_poll().
extern struct netif net_interface;

// lwIP's own, for 127.0.0.1.
extern struct netif *net_loopback;

// Readies the slots; after lwip_init().
void net_connections_start(void);

#endif
