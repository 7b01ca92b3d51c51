#include "tries.h"
#include "../users/users.h"
#include "gateway.h"
#include <string.h>

// `key` has the hash in its upper 24 bits and the count below; a count of 0 is a free entry. `until` is when the next
// try may come, in seconds.
struct entry {
    uint32_t key;
    uint32_t until;
};

#define COUNT 0xffu

static struct entry pairs[TRIES_PAIRS], names[TRIES_NAMES], addresses[TRIES_ADDRESSES];

static const struct table {
    struct entry *entries;
    uint16_t size;
    uint16_t most; // seconds
    uint32_t free; // times login.tries
} tables[TRIES_WAYS] = {
    [TRIES_PAIR] = {pairs, TRIES_PAIRS, TRIES_PAIR_MOST, 1},
    [TRIES_NAME] = {names, TRIES_NAMES, TRIES_CROWD_MOST, TRIES_CROWD},
    [TRIES_ADDRESS] = {addresses, TRIES_ADDRESSES, TRIES_CROWD_MOST, TRIES_CROWD},
};

/// Times ///

static uint32_t seconds(uint64_t now_ms)
{
    return (uint32_t)(now_ms / 1000);
}

static uint32_t free_tries(const struct table *t)
{
    uint32_t count = gateway_settings.login_tries * t->free;
    return count < COUNT - 16 ? count : COUNT - 16;
}

// Seconds that `count` wrong tries cost.
static uint32_t wait_after(const struct table *t, uint32_t count)
{
    uint32_t free = free_tries(t);
    if (count < free)
        return 0;
    uint32_t doublings = count - free < 10 ? count - free : 10;
    uint32_t wait = gateway_settings.login_backoff << doublings;
    return wait < t->most ? wait : t->most;
}

/// Entries ///

static bool in_use(const struct entry *e, uint32_t now)
{
    return (e->key & COUNT) > 0 && now < e->until + TRIES_PEACE;
}

static struct entry *find(const struct table *t, uint32_t key, uint32_t now)
{
    for (struct entry *e = t->entries; e < t->entries + t->size; e++)
        if (in_use(e, now) && ((e->key ^ key) & ~COUNT) == 0)
            return e;
    return NULL;
}

static bool goes_before(const struct entry *e, const struct entry *other)
{
    uint32_t count = e->key & COUNT, others = other->key & COUNT;
    return count != others ? count < others : e->until < other->until;
}

static struct entry *make_room(const struct table *t, uint32_t now)
{
    struct entry *first = t->entries;
    for (struct entry *e = t->entries; e < t->entries + t->size; e++) {
        if (!in_use(e, now))
            return e;
        if (goes_before(e, first))
            first = e;
    }
    return first;
}

static void count_wrong(const struct table *t, uint32_t key, uint32_t now)
{
    struct entry *e = find(t, key, now);
    if (e == NULL) {
        e = make_room(t, now);
        e->key = key & ~COUNT;
    }
    if ((e->key & COUNT) < COUNT)
        e->key++;
    e->until = now + wait_after(t, e->key & COUNT);
}

// Those under way may all be wrong.
static uint32_t wait_for(const struct table *t, uint32_t key, uint32_t under_way, uint32_t now)
{
    const struct entry *e = find(t, key, now);
    uint32_t count = e == NULL ? 0 : e->key & COUNT;
    if (e != NULL && now < e->until)
        return e->until - now;
    return under_way > 0 && count + under_way >= free_tries(t) ? 1 : 0;
}

/// Tries ///

// Never 0.
static uint32_t key_of(enum tries_way way, uint32_t address, struct span name)
{
    char bytes[1 + sizeof address + EMAIL_MAX_BYTES];
    size_t length = name.length < EMAIL_MAX_BYTES ? name.length : EMAIL_MAX_BYTES;
    bytes[0] = (char)way;
    memcpy(bytes + 1, &address, sizeof address);
    for (size_t i = 0; i < length; i++)
        bytes[1 + sizeof address + i] = span_fold(name.at[i]);
    return (uint32_t)users_hash((struct span){bytes, 1 + sizeof address + length}) | (COUNT + 1);
}

struct tries tries_of_login(uint32_t address, struct span name, bool home)
{
    struct tries t = {{[TRIES_PAIR] = key_of(TRIES_PAIR, address, name)}};
    if (!home) {
        t.keys[TRIES_NAME] = key_of(TRIES_NAME, 0, name);
        t.keys[TRIES_ADDRESS] = key_of(TRIES_ADDRESS, address, (struct span){NULL, 0});
    }
    return t;
}

// Apart from the same address' logins with this email as a name.
struct tries tries_of_code(uint32_t address, struct span email)
{
    return (struct tries){{
        [TRIES_PAIR] = key_of(TRIES_WAYS, address, email),
        [TRIES_ADDRESS] = key_of(TRIES_ADDRESS, address, (struct span){NULL, 0}),
    }};
}

uint32_t tries_wait(const struct tries *t, const uint32_t under_way[TRIES_WAYS], uint64_t now_ms)
{
    uint32_t longest = 0;
    for (int way = 0; way < TRIES_WAYS && gateway_settings.login_tries > 0; way++) {
        uint32_t wait = t->keys[way] == 0 ? 0 : wait_for(&tables[way], t->keys[way], under_way[way], seconds(now_ms));
        if (wait > longest)
            longest = wait;
    }
    return longest;
}

void tries_wrong(const struct tries *t, uint64_t now_ms)
{
    for (int way = 0; way < TRIES_WAYS && gateway_settings.login_tries > 0; way++)
        if (t->keys[way] != 0)
            count_wrong(&tables[way], t->keys[way], seconds(now_ms));
}

// The other counts stay: whoever logs in beside those who guess must not give them new tries.
void tries_right(const struct tries *t, uint64_t now_ms)
{
    struct entry *e = find(&tables[TRIES_PAIR], t->keys[TRIES_PAIR], seconds(now_ms));
    if (e != NULL)
        e->key = 0;
}

void tries_reset(void)
{
    memset(pairs, 0, sizeof pairs);
    memset(names, 0, sizeof names);
    memset(addresses, 0, sizeof addresses);
}
