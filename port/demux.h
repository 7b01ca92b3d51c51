// Finds a segment's connection in constant time.
//
// lwIP looks PCBs up by walking a linear list, which at 1,000 connections is 44 % of the work. But it looks at the
// list's head first. So a hash over the 4-tuple, asked for every frame before lwIP sees it (LWIP_HOOK_IP4_INPUT),
// moves the segment's PCB to the head. No patch of lwIP is needed: the hash learns of births and deaths through
// tcp_ext_arg callbacks.
//
// Taking a PCB out of the middle of a singly linked list needs its predecessor. Each node keeps a guess at it, which is
// right as long as only this module moves PCBs; when lwIP itself has changed the list, the guess is seen to be wrong
// and one walk puts it right.
#ifndef PIPIT_DEMUX_H
#define PIPIT_DEMUX_H

struct tcp_pcb;

// Once, after lwip_init().
void demux_start(void);

// Every listening PCB, so that the PCBs it gives birth to are known. A PCB is born with the lowest priority, and
// whoever accepts it raises that to TCP_PRIO_NORMAL: when there are no more PCBs, lwIP takes the oldest one of a lower
// priority from its owner. So strangers who send SYNs and nothing else, from ever new addresses, keep nobody out.
void demux_listen(struct tcp_pcb *listener);

// Every PCB that dialled, after tcp_connect().
void demux_connect(struct tcp_pcb *pcb);

// Walks that were needed because a guess was wrong: for tests.
extern unsigned demux_walks;

#endif
