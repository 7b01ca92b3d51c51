// A second stack: memory that somebody needs until he returns to the loop, and that is too large for the first one.
//
//     uint8_t *bytes = scratch_take(HUB_REPLY);
//     ...
//     scratch_give(bytes);
//
// Who takes and calls others who take has to add up: a module states by static assert what it takes in all, and
// SCRATCH_BYTES (app/limits.h) is the most of that.
#ifndef PIPIT_SCRATCH_H
#define PIPIT_SCRATCH_H

#include <stddef.h>

#define SCRATCH_ALIGNMENT 8 // bytes; what is taken is rounded up to it

// `size` bytes of any content. When they are not there, somebody has not given back: the machine starts anew.
void *scratch_take(size_t size);

// What was taken last goes first.
void scratch_give(void *taken);

#endif
