// A device's own seed, kept in two erase pages of flash and never used twice.
//
// A page is a row of slots of SEED_SLOT bytes: a seed, a counter that only grows, and the counter's complement, which
// tells a slot that lost its power while it was programmed. The slot with the largest counter holds the seed for the
// next life. Before a seed is used, its successor is programmed and read back; when a page is full, the other one is
// erased and goes on, so that at every moment one of the two has a whole slot. The first seed is written by whoever
// flashes the board (boards/flash.sh).
#ifndef PIPIT_SEED_PAGES_H
#define PIPIT_SEED_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEED_SLOT  40 // bytes
#define SEED_PAGES 2

struct seed_flash {
    const uint8_t *pages[SEED_PAGES]; // where they can be read; an erased byte is 0xff
    size_t page_size;                 // bytes
    bool (*erase)(unsigned page);
    bool (*program)(unsigned page, size_t offset, const uint8_t *bytes, size_t length); // offset and length: words
};

// Gives this life's seed and leaves the next one's. False when there is none, or no new one can be programmed: then the
// old one is not given either, since it could be given again.
bool seed_pages_take(const struct seed_flash *flash, uint8_t seed[32]);

#endif
