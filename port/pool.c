#include "pool.h"
#include <string.h>

static struct pool *listed;

void pool_list(struct pool *pool)
{
    if (pool->listed)
        return;
    pool->listed = true;
    pool->next = listed;
    listed = pool;
}

// A free slot holds the pointer to the next one; slots above `fresh` were never taken and are not on the list, so a
// large pool touches no memory before it is needed.
static void *pool_free_slot(struct pool *pool)
{
    void *slot = pool->free_list;
    if (slot != NULL) {
        memcpy(&pool->free_list, slot, sizeof pool->free_list);
        return slot;
    }
    return pool->fresh < pool->size ? pool_slot(pool, pool->fresh++) : NULL;
}

void *pool_take(struct pool *pool)
{
    pool_list(pool);
    void *slot = pool_free_slot(pool);
    if (slot == NULL) {
        pool->refused++;
        return NULL;
    }
    memset(slot, 0, pool->slot_size);
    pool->used++;
    if (pool->used > pool->high_water)
        pool->high_water = pool->used;
    return slot;
}

void pool_give(struct pool *pool, void *slot)
{
    memcpy(slot, &pool->free_list, sizeof pool->free_list);
    pool->free_list = slot;
    pool->used--;
}

uint32_t pool_index(const struct pool *pool, const void *slot)
{
    return (uint32_t)((size_t)((const char *)slot - (const char *)pool->slots) / pool->slot_size);
}

void *pool_slot(const struct pool *pool, uint32_t index)
{
    return (char *)pool->slots + index * pool->slot_size;
}

struct pool *pool_next(const struct pool *pool)
{
    return pool == NULL ? listed : pool->next;
}
