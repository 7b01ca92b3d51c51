// How often one address may call: a token bucket (burst and calls a minute are the same number) for each of the
// RATE_ADDRESSES addresses seen last. The one not seen for longest makes room for a new one.
#ifndef PIPIT_RATE_H
#define PIPIT_RATE_H

#include <stdbool.h>
#include <stdint.h>

// Counts one call. False when it is one too many: then `retry_after` says in how many seconds (at least 1) the next
// one will be taken. `per_minute` 0 allows everything. A call that was refused costs nothing.
bool rate_allow(uint32_t address, uint32_t per_minute, uint64_t now_ms, uint32_t *retry_after);

// Forgets all addresses.
void rate_reset(void);

#endif
