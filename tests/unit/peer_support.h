// TCP peers on a make-believe network, frame by frame in the test's hands: they may stop reading, vanish, send one byte
// a segment, or break any rule. The network has no Ethernet; IPv4 packets pass without checksums.
#ifndef PIPIT_PEER_SUPPORT_H
#define PIPIT_PEER_SUPPORT_H

#include "machine.h"

struct peer {
    uint32_t address; // 10.0.2.2 unless set before peer_open()
    uint16_t port;    // chosen by peer_open() unless set
    uint16_t device_port;
    uint32_t window;   // what it announces with its next segment
    uint32_t sequence; // next byte that it sends
    uint32_t expected; // next byte that it wants
    bool silent;       // takes segments without acknowledging them
    bool gone;         // does not even see them
    bool answers;      // a test's listening peer: waits for the device to connect (peer_listen)
    bool synchronized; // the handshake is done
    bool fin;          // the device has closed its direction
    bool reset;        // the device has sent RST
    uint32_t segments; // with data, that came in order
    uint8_t received[1u << 16];
    size_t length;
};

// The network's turn: what the loop in app/main.c does, once, without sleeping. Services are not stepped.
void peer_turn(void);

// A function called in every turn between net_poll() and net_flush(): the services under test.
extern void (*peer_services)(void);

// Starts lwIP with the make-believe interface at 10.0.2.15. Once per program.
void peer_network_start(void);

// Connects to the device; window 65535 unless set. Runs turns until the handshake is done or refused.
void peer_open(struct peer *p, uint16_t device_port);

// The same up to the peer's last segment of the handshake, which lwIP has taken but no turn of ours has seen yet.
void peer_knock(struct peer *p, uint16_t device_port);

// The peers see, and answer, what the device has sent so far: half of a turn.
void peer_deliver(void);

// Waits on `port` for the device to connect.
void peer_listen(struct peer *p, uint16_t port);

void peer_send(struct peer *p, const void *bytes, size_t length);
void peer_send_text(struct peer *p, const char *text);
void peer_acknowledge(struct peer *p);                                // also tells a new window
void peer_close(struct peer *p);                                      // sends FIN
void peer_abort(struct peer *p);                                      // sends RST
void peer_syn(uint32_t address, uint16_t port, uint16_t device_port); // and nothing more

// Takes the peer off the network and forgets what it received.
void peer_forget(struct peer *p);

// What it has received, as a string; then peer_clear() to begin anew.
const char *peer_text(struct peer *p);
void peer_clear(struct peer *p);

// Runs turns, moving the clock by 1 ms each.
void peer_run(uint32_t ms);

// While true, the interface drops all frames in both directions.
extern bool peer_link_down;

#endif
