// Memory that ends where a page begins that may not be touched: what lies flush against it and is read or written a
// byte too far ends the test.
#ifndef PIPIT_GUARD_SUPPORT_H
#define PIPIT_GUARD_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

// The first byte that may not be touched, behind `size` bytes, which are zero and stay until the program ends.
uint8_t *guard_behind(size_t size);

#endif
