// The trail: what the machine was doing, for whoever finds it failed. A board prints it before it resets.
//
// It holds the last changes of state of all objects, and which part of the loop has its turn. Everything in it are
// pointers to constants, so it can be read when nothing else can be trusted.
#ifndef PIPIT_TRAIL_H
#define PIPIT_TRAIL_H

#include <stddef.h>
#include <stdint.h>

#define TRAIL_LENGTH 12

struct trail_entry {
    uint32_t ms;        // port_now_ms()
    const char *module; // "net"
    const char *object; // "connection"
    uint32_t number;    // which of them
    const char *from;   // "OPEN"
    const char *to;
};

// Notes that `object` number `number` of `module` goes from one state to another, and logs it as a debug line. All
// texts must be constants.
void trail_change(const char *module, const char *object, uint32_t number, const char *from, const char *to);

// Entry number `index`, 0 being the oldest; NULL behind the newest.
const struct trail_entry *trail_entry(size_t index);

// Whose turn it is: a service's name, or a part of the loop. Set by the loop.
extern const char *trail_turn;

#endif
