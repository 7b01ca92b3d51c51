// HMAC_DRBG over SHA-256 (NIST SP 800-90A, section 10.1.2): random bytes from one seed, without reseeding.
//
// Who learns the state learns nothing of what was generated before. It may be called 2^48 times between two starts,
// which no machine lives to do.
#ifndef PIPIT_DRBG_H
#define PIPIT_DRBG_H

#include <stddef.h>
#include <stdint.h>

#define DRBG_BLOCK 32
#define DRBG_MOST  65536 // bytes of one call

struct drbg {
    uint8_t key[DRBG_BLOCK];
    uint8_t value[DRBG_BLOCK];
};

// `seed`: entropy, nonce and personalization one behind the other, with at least 256 bits of entropy.
void drbg_seed(struct drbg *d, const uint8_t *seed, size_t length);

// Fills `bytes` with `length` of them, at most DRBG_MOST.
void drbg_generate(struct drbg *d, uint8_t *bytes, size_t length);

#endif
