// A service: something with a turn in the main loop.
//
// app/services.c lists them all, in the order of their turns. A new service is one line there.
#ifndef PIPIT_SERVICE_H
#define PIPIT_SERVICE_H

#include "../app/limits.h"
#include <stddef.h>
#include <stdint.h>

// A value that GET /metrics shows (Prometheus text format 0.0.4). A service lists its own in a table. A counter's name
// ends in "_total", and no gauge's does.
struct metric {
    const char *name;       // "pipit_hub_messages_total"
    const char *labels;     // "kind=\"ws\"", or NULL; rows of one name stand together
    const uint32_t *value;  // where it is counted, or NULL when
    uint32_t (*read)(void); // this function tells it
    HELP(const char *help;) // a sentence
};

struct service {
    const char *name;

    // Sets it up, once, after net_start(). Returns 0, or -1 after logging what is wrong. May be NULL.
    int (*start)(void);

    // One bounded step. Returns in how many milliseconds it wants the next one at the latest; 0 means at once,
    // SERVICE_IDLE that it only waits for its connections. May be NULL.
    uint32_t (*step)(uint64_t now_ms);

    // Says goodbye to its peers before the machine stops. May be NULL.
    void (*stop)(void);

    const struct metric *metrics;
    size_t metric_count;
};

#define SERVICE_IDLE UINT32_MAX

extern const struct service *const services[];
extern const size_t service_count;

// Kept by the main loop, by service: the longest step so far in microseconds.
extern uint32_t service_longest_us[];

// The longest turn of the loop so far, in microseconds, without the sleep.
extern uint32_t longest_turn_us;

#endif
