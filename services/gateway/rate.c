#include "rate.h"
#include "../../app/limits.h"
#include <string.h>

// Credit is counted in sixty-thousandths of a call, so that a rate of N calls a minute earns N of them a millisecond.
#define ONE_CALL 60000u

static struct bucket {
    uint64_t credit;
    uint64_t seen; // ms; 0 for an unused entry
    uint32_t address;
} buckets[RATE_ADDRESSES];

// The address's own bucket, or else the one to be given up for it.
static struct bucket *find(uint32_t address, bool *known)
{
    struct bucket *oldest = &buckets[0];
    for (struct bucket *b = buckets; b < buckets + RATE_ADDRESSES; b++) {
        *known = b->seen != 0 && b->address == address;
        if (*known)
            return b;
        if (b->seen < oldest->seen)
            oldest = b;
    }
    return oldest;
}

// The rate may have been set anew since; what is above a full bucket is lost.
static void earn(struct bucket *b, uint32_t per_minute, uint64_t now_ms)
{
    uint64_t full = (uint64_t)per_minute * ONE_CALL;
    uint64_t away = now_ms > b->seen ? now_ms - b->seen : 0;
    uint64_t earned = away < ONE_CALL ? away * per_minute : full;
    b->credit = b->credit + earned < full ? b->credit + earned : full;
}

bool rate_allow(uint32_t address, uint32_t per_minute, uint64_t now_ms, uint32_t *retry_after)
{
    if (per_minute == 0)
        return true;
    bool known = false;
    struct bucket *b = find(address, &known);
    if (known)
        earn(b, per_minute, now_ms);
    else
        *b = (struct bucket){.address = address, .credit = (uint64_t)per_minute * ONE_CALL};
    b->seen = now_ms != 0 ? now_ms : 1;
    if (b->credit >= ONE_CALL) {
        b->credit -= ONE_CALL;
        return true;
    }
    uint64_t wait_ms = (ONE_CALL - b->credit + per_minute - 1) / per_minute;
    *retry_after = (uint32_t)((wait_ms + 999) / 1000);
    return false;
}

void rate_reset(void)
{
    memset(buckets, 0, sizeof buckets);
}
