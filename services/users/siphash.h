// SipHash-2-4 (Aumasson and Bernstein, 2012): a short keyed hash for tables whose keys strangers choose.
//
// Who does not know the key can't choose names that fall into one bucket.
#ifndef PIPIT_SIPHASH_H
#define PIPIT_SIPHASH_H

#include "../../port/span.h"

struct siphash_key {
    uint64_t k0;
    uint64_t k1;
};

// The 64-bit hash of `text`. The key's numbers are the little-endian halves of the paper's 16 bytes.
uint64_t siphash(const struct siphash_key *key, struct span text);

#endif
