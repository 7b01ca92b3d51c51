// A backend: where the simulator's Ethernet frames come from and go to.
//
// netif.c joins one of them to lwIP. A backend knows the host's sockets and devices and nothing of lwIP, because the
// two sides' headers define the same names (glibc's TCP_MSS silently replaces lwIP's).
#ifndef PIPIT_SIM_BACKEND_H
#define PIPIT_SIM_BACKEND_H

#include "options.h"
#include <poll.h>

// What a backend tells about its link once it is open.
struct backend_link {
    uint8_t address[6]; // the device's hardware address
    uint16_t mtu;       // of IP packets, without the Ethernet header
    bool completes_tcp; // the backend takes TCP without a checksum
};

// A frame to be sent comes in pieces that follow each other.
struct part {
    uint8_t *bytes;
    size_t length;
};

struct frame {
    const uint8_t *bytes; // from the Ethernet header on, without the trailing check sequence
    size_t length;
    bool verified; // TCP and UDP checksums need no second look
};

struct backend {
    const char *name;

    // send() takes at most so many parts.
    int most_parts;

    // Returns true, or false with a sentence in `why`. Called once, before anything else.
    bool (*open)(const struct options *options, struct backend_link *link, struct text *why);

    // Sends one frame. The first part holds the Ethernet, IP and TCP headers whole; a backend may complete a checksum
    // in it. False when the frame can't be taken just now; it is then lost.
    bool (*send)(const struct part *parts, int count);

    // The next frame that arrived, valid until the next call of the backend. False when there is none.
    bool (*receive)(struct frame *frame);

    // Whether there is a link just now. NULL: always.
    bool (*has_link)(void);

    // What poll() has to wait for: fills at most `room` entries, returns how many, and shortens `timeout_ms` to
    // its own next deadline.
    size_t (*watch)(struct pollfd *fds, size_t room, uint32_t *timeout_ms);

    // After poll(): the entries that watch() filled, now with their `revents`.
    void (*ready)(const struct pollfd *fds, size_t count);

    void (*close)(void);
};

extern const struct backend slirp_backend;
extern const struct backend tap_backend;

// The one in use, and its link, from machine_start() on.
extern const struct backend *backend;
extern struct backend_link backend_link;

// Most entries that one watch() needs: a device, or each of libslirp's sockets.
#define BACKEND_DESCRIPTORS 8192

// Frames that found no room on their way, in either direction.
extern uint32_t backend_dropped;

#endif
