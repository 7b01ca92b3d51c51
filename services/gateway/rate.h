// How often one address may do something: a token bucket (burst and what is earned in a window are the same number) for
// each of the RATE_ADDRESSES addresses seen last. The one not seen for longest makes room for a new one.
#ifndef PIPIT_RATE_H
#define PIPIT_RATE_H

#include "../../app/limits.h"
#include <stdbool.h>
#include <stdint.h>

struct rate_bucket {
    uint64_t credit;
    uint64_t seen; // ms; 0 for an unused entry
    uint32_t address;
};

// Good for nothing before rate_reset(). It has no initial value: that would be all its zeros in flash.
struct rate {
    uint32_t window_ms;
    struct rate_bucket buckets[RATE_ADDRESSES];
};

// Counts once. False when it is one too many: then `retry_after` says in how many seconds (at least 1) the next one
// will be taken. `per_window` 0 allows everything. What was refused costs nothing.
bool rate_allow(struct rate *rate, uint32_t address, uint32_t per_window, uint64_t now_ms, uint32_t *retry_after);

// Forgets all addresses. `window_ms` is what rate_allow() calls a window.
void rate_reset(struct rate *rate, uint32_t window_ms);

#endif
