// How often somebody was wrong, at a password or a code, and how long the next try has to wait. It slows guessing down,
// and gives nobody a way to lock somebody else out.
//
// Wrong tries are counted in three ways, and the longest wait counts:
//
//     by address and name    after login.tries wrong ones the address waits login.backoff seconds for this name, then
//                            twice as long after each further one, at most TRIES_PAIR_MOST
//     by name                after TRIES_CROWD times as many, of all addresses: the same, at most TRIES_CROWD_MOST,
//     by address             likewise, of all names: a slow door, but never a closed one
//
// The address of the account's last login or reset (users_is_home()) is only held up by its own wrong tries for this
// name. What is right clears the first count; after TRIES_PEACE without a wrong one each count is forgotten.
//
// A name is what was typed, without case; one that nobody has counts like any other, before anything is hashed, so the
// answers tell nothing. Tries that are still being worked on count as wrong ones.
//
// A full table gives up the entry with the lowest count. So whoever tries many names loses entries of his first table
// and meets the third; it takes more addresses than there are TRIES_ADDRESSES to get out of that.
#ifndef PIPIT_TRIES_H
#define PIPIT_TRIES_H

#include "../../app/limits.h"
#include "../../port/span.h"

#define TRIES_PAIR_MOST  900 // seconds
#define TRIES_CROWD_MOST 15
#define TRIES_PEACE      900
#define TRIES_CROWD      10

enum tries_way { TRIES_PAIR, TRIES_NAME, TRIES_ADDRESS, TRIES_WAYS };

// Who tries what: keyed hashes, which mean nothing to anybody else. 0 is not counted.
struct tries {
    uint32_t keys[TRIES_WAYS];
};

struct tries tries_of_login(uint32_t address, struct span name, bool home);

// A code has a bound of its own (codes.h), so it is not counted by name.
struct tries tries_of_code(uint32_t address, struct span email);

// Seconds until this one may be made, 0 for now. `under_way` of the same key are being worked on.
uint32_t tries_wait(const struct tries *t, const uint32_t under_way[TRIES_WAYS], uint64_t now_ms);

void tries_wrong(const struct tries *t, uint64_t now_ms);
void tries_right(const struct tries *t, uint64_t now_ms);

// Forgets everything.
void tries_reset(void);

#endif
