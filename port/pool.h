// A pool: a fixed number of equal slots in static memory, taken and given back in constant time.
//
//     POOL(clients, struct client, HUB_CLIENTS);      // defines `static struct pool clients` and its slots
//     struct client *c = pool_take(&clients);         // zeroed, or NULL when all are taken
//     pool_give(&clients, c);
//
// The first take links a pool into the list that `/metrics`, the console and the tests walk with pool_next().
#ifndef PIPIT_POOL_H
#define PIPIT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool {
    const char *name;
    void *slots;
    size_t slot_size; // bytes
    uint32_t size;    // slots
    uint32_t used;
    uint32_t high_water; // most slots ever used at once
    uint32_t refused;    // takes that found nothing
    uint32_t fresh;      // slots at and above this one were never taken
    void *free_list;
    struct pool *next;
    bool listed;
};

#define POOL(NAME, TYPE, COUNT)                                                                                        \
    static TYPE NAME##_slots[COUNT];                                                                                   \
    static struct pool NAME = {.name = #NAME, .slots = NAME##_slots, .slot_size = sizeof(TYPE), .size = (COUNT)}

// Puts the pool on the list before its first take. May be called again.
void pool_list(struct pool *pool);

void *pool_take(struct pool *pool);

// `slot` must have come from pool_take() of this very pool and not have been given back since.
void pool_give(struct pool *pool, void *slot);

// The slot's number, from 0 to size - 1, and back.
uint32_t pool_index(const struct pool *pool, const void *slot);
void *pool_slot(const struct pool *pool, uint32_t index);

// Walks all listed pools: NULL gives the first, and NULL comes after the last.
struct pool *pool_next(const struct pool *pool);

#endif
