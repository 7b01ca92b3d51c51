#include "rate.h"
#include <string.h>

// Credit is counted in parts of one: as many parts as the window has milliseconds, so that a rate of N a window earns N
// of them a millisecond.

// The address's own bucket, or else the one to be given up for it.
static struct rate_bucket *find(struct rate *rate, uint32_t address, bool *known)
{
    struct rate_bucket *oldest = &rate->buckets[0];
    for (struct rate_bucket *b = rate->buckets; b < rate->buckets + RATE_ADDRESSES; b++) {
        *known = b->seen != 0 && b->address == address;
        if (*known)
            return b;
        if (b->seen < oldest->seen)
            oldest = b;
    }
    return oldest;
}

// The rate may have been set anew since; what is above a full bucket is lost.
static void earn(struct rate_bucket *b, uint32_t window_ms, uint32_t per_window, uint64_t now_ms)
{
    uint64_t full = (uint64_t)per_window * window_ms;
    uint64_t away = now_ms > b->seen ? now_ms - b->seen : 0;
    uint64_t earned = away < window_ms ? away * per_window : full;
    b->credit = b->credit + earned < full ? b->credit + earned : full;
}

bool rate_allow(struct rate *rate, uint32_t address, uint32_t per_window, uint64_t now_ms, uint32_t *retry_after)
{
    if (per_window == 0)
        return true;
    uint32_t one = rate->window_ms;
    bool known = false;
    struct rate_bucket *b = find(rate, address, &known);
    if (known)
        earn(b, one, per_window, now_ms);
    else
        *b = (struct rate_bucket){.address = address, .credit = (uint64_t)per_window * one};
    b->seen = now_ms != 0 ? now_ms : 1;
    if (b->credit >= one) {
        b->credit -= one;
        return true;
    }
    uint64_t wait_ms = (one - b->credit + per_window - 1) / per_window;
    *retry_after = (uint32_t)((wait_ms + 999) / 1000);
    return false;
}

void rate_reset(struct rate *rate, uint32_t window_ms)
{
    memset(rate->buckets, 0, sizeof rate->buckets);
    rate->window_ms = window_ms;
}
