// A local network in the test's hands, Ethernet frame by Ethernet frame: the device's interface at one end, and at the
// other whatever the test makes of it. Checksums are left out.
#ifndef PIPIT_LAN_SUPPORT_H
#define PIPIT_LAN_SUPPORT_H

#include "machine.h"

#define LAN_DEVICE_MAC                                                                                                 \
    {                                                                                                                  \
        0x02, 0x00, 0x00, 0x00, 0x12, 0x34                                                                             \
    }

// An IPv4 packet that the device has sent. Ports are UDP's and TCP's, `bytes` what is behind UDP's header, or the whole
// TCP segment.
struct lan_packet {
    uint8_t protocol;
    uint32_t from, to;
    uint16_t from_port, to_port;
    const uint8_t *bytes;
    size_t length;
    bool broadcast; // or multicast, on Ethernet
};

// Called in lan_turn() for each of them. NULL: nobody listens.
extern void (*lan_heard)(const struct lan_packet *packet);

// Who answers ARP requests: true when there is a host with the address. NULL: nobody.
extern bool (*lan_has)(uint32_t address);

// ARP requests with no sender's address: how many, and for which address the last one was.
extern uint32_t lan_probes;
extern uint32_t lan_probed;

// One turn of the loop, without sleeping.
void lan_turn(void);

// Turns, with the clock moving 10 ms, or `step` ms, before each.
void lan_run(uint64_t ms);
void lan_run_by(uint64_t ms, uint32_t step);

// A UDP packet, or one of any protocol, to the device. To 255.255.255.255 or a multicast address it is a frame to all.
void lan_udp(uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port, const void *bytes, size_t length);
void lan_ip(uint8_t protocol, uint32_t from, uint32_t to, const void *bytes, size_t length);

void lan_link(bool up);

#endif
