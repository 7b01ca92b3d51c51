// The places where Pipit hangs into lwIP; included by lwIP itself.
#ifndef PIPIT_HOOKS_H
#define PIPIT_HOOKS_H

#include "lwip/ip_addr.h"
#include "lwip/pbuf.h"

struct netif;
struct tcp_pcb;

int demux_ip4_input(struct pbuf *p, struct netif *netif);
#define LWIP_HOOK_IP4_INPUT(p, netif) demux_ip4_input(p, netif)

uint32_t net_initial_sequence(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                              uint16_t remote_port);
#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port)                                                      \
    net_initial_sequence(local, local_port, remote, remote_port)

void net_segment_arrived(const struct tcp_pcb *pcb);
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, header, length, length1, options2, p) (net_segment_arrived(pcb), ERR_OK)

#endif
