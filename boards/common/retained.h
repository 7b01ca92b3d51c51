// What outlives a reset: why there was one, and a seed for the next life's random numbers.
#ifndef PIPIT_RETAINED_H
#define PIPIT_RETAINED_H

#include <stdbool.h>
#include <stdint.h>

#define SEED_BYTES 32

// Looks at what the last life has left. Before port_reset_reason() and the other functions here.
void retained_begin(void);

// Tells the next life why this one ends.
void retained_reason(const char *reason);

// The seed that the last life left; false after a power-on. It is good for one life and gone then.
bool retained_seed(uint8_t seed[SEED_BYTES]);

void retained_leave_seed(const uint8_t seed[SEED_BYTES]);

#endif
