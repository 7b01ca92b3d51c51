// Frames waiting between libslirp, which hands them out while it is being called, and lwIP, which must not be
// entered then.
#ifndef PIPIT_SIM_FRAME_RING_H
#define PIPIT_SIM_FRAME_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Appends a copy. False when there is no room for it.
bool frame_ring_put(const void *bytes, size_t length);

// Takes the oldest one, which stays valid until the next frame_ring_put(). False when there is none.
bool frame_ring_take(const uint8_t **bytes, size_t *length);

// True when there is one to take.
bool frame_ring_waits(void);

#endif
