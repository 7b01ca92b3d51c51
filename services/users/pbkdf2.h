// PBKDF2 with HMAC-SHA-256 (RFC 8018 section 5.2), one block of the derived key, in slices.
//
//     pbkdf2_begin(&p, password, salt, 1, 100000);
//     while (!pbkdf2_step(&p, 500))
//         ... a turn of the loop ...
//     use p.key, then pbkdf2_wipe(&p);
//
// However the iterations are cut into slices, the key is the same.
#ifndef PIPIT_PBKDF2_H
#define PIPIT_PBKDF2_H

#include "../../port/span.h"
#include <mbedtls/sha256.h>

#define PBKDF2_BLOCK 32 // bytes

struct pbkdf2 {
    uint8_t key[PBKDF2_BLOCK];    // T_i so far; the block of the derived key once pbkdf2_step() returned true
    uint8_t last[PBKDF2_BLOCK];   // U_c
    uint32_t left;                // iterations still to do
    mbedtls_sha256_context inner; // SHA-256 after the key XOR ipad (RFC 2104): the same for every iteration
    mbedtls_sha256_context outer; // and after the key XOR opad
};

// Starts on block number `block` (from 1 on) with `rounds` iterations, at least one. `password` and `salt` are not
// needed after the call. Costs about as much as three iterations.
void pbkdf2_begin(struct pbkdf2 *p, struct span password, struct span salt, uint32_t block, uint32_t rounds);

// Does at most `most` iterations. True when the key is complete.
bool pbkdf2_step(struct pbkdf2 *p, uint32_t most);

void pbkdf2_wipe(struct pbkdf2 *p);

#endif
