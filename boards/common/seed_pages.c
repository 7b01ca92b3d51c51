#include "seed_pages.h"
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <string.h>

#define SEED       32
#define COUNTER    SEED // offset of the counter in a slot
#define COMPLEMENT (COUNTER + 4)

struct place {
    unsigned page;
    size_t slot;
    uint32_t counter;
};

static const uint8_t *slot_at(const struct seed_flash *f, const struct place *p)
{
    return f->pages[p->page] + p->slot * SEED_SLOT;
}

static uint32_t number_at(const uint8_t *at)
{
    uint32_t number;
    memcpy(&number, at, sizeof number);
    return number;
}

static bool find_newest(const struct seed_flash *f, struct place *newest)
{
    bool found = false;
    struct place p = {0};
    for (; p.page < SEED_PAGES; p.page++)
        for (p.slot = 0; p.slot < f->page_size / SEED_SLOT; p.slot++) {
            p.counter = number_at(slot_at(f, &p) + COUNTER);
            if (number_at(slot_at(f, &p) + COMPLEMENT) != ~p.counter || (found && p.counter <= newest->counter))
                continue;
            *newest = p;
            found = true;
        }
    return found;
}

static bool is_erased(const uint8_t *at)
{
    for (size_t i = 0; i < SEED_SLOT; i++)
        if (at[i] != 0xff)
            return false;
    return true;
}

// The next slot that is erased, in this page or at the beginning of the other one.
static bool find_room(const struct seed_flash *f, const struct place *newest, struct place *room)
{
    *room = (struct place){newest->page, newest->slot + 1, newest->counter + 1};
    for (; room->slot < f->page_size / SEED_SLOT; room->slot++)
        if (is_erased(slot_at(f, room)))
            return true;
    room->page = (newest->page + 1) % SEED_PAGES;
    room->slot = 0;
    return f->erase(room->page) && is_erased(slot_at(f, room));
}

// The complement last: without it a slot does not count.
static bool program(const struct seed_flash *f, const struct place *room, const uint8_t seed[SEED])
{
    uint8_t bytes[SEED_SLOT];
    uint32_t complement = ~room->counter;
    size_t offset = room->slot * SEED_SLOT;
    memcpy(bytes, seed, SEED);
    memcpy(bytes + COUNTER, &room->counter, sizeof room->counter);
    memcpy(bytes + COMPLEMENT, &complement, sizeof complement);
    bool good = f->program(room->page, offset, bytes, COMPLEMENT) &&
                f->program(room->page, offset + COMPLEMENT, bytes + COMPLEMENT, SEED_SLOT - COMPLEMENT) &&
                memcmp(slot_at(f, room), bytes, SEED_SLOT) == 0;
    mbedtls_platform_zeroize(bytes, sizeof bytes);
    return good;
}

// Both this life's seed and the next one's follow from the one that was found, by a one-way function: neither tells
// anything of the other.
static void derive(const uint8_t found[SEED], uint8_t use, uint8_t seed[SEED])
{
    uint8_t input[SEED + 1];
    memcpy(input, found, SEED);
    input[SEED] = use;
    mbedtls_sha256(input, sizeof input, seed, 0);
    mbedtls_platform_zeroize(input, sizeof input);
}

bool seed_pages_take(const struct seed_flash *f, uint8_t seed[SEED])
{
    struct place newest, room;
    uint8_t next[SEED];
    if (!find_newest(f, &newest))
        return false;
    const uint8_t *found = slot_at(f, &newest);
    derive(found, 1, next);
    derive(found, 2, seed);
    bool renewed = find_room(f, &newest, &room) && program(f, &room, next);
    mbedtls_platform_zeroize(next, sizeof next);
    if (!renewed)
        mbedtls_platform_zeroize(seed, SEED);
    return renewed;
}
