// mbedTLS has it too, on a layer for any hash that asks for a heap before there is one. What it has over AES costs 3.5
// KB, for a cipher that nothing else needs on a machine without TLS.
#include "drbg.h"
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <string.h>

#define HASH_BLOCK 64 // bytes that SHA-256 takes at once

// RFC 2104, with a key of half a block. mbedTLS' SHA-256 in software fails for no input.
static void begin_hash(mbedtls_sha256_context *sha, const uint8_t key[DRBG_BLOCK], uint8_t pad)
{
    uint8_t block[HASH_BLOCK];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < DRBG_BLOCK; i++)
        block[i] ^= key[i];
    mbedtls_sha256_init(sha);
    (void)mbedtls_sha256_starts(sha, 0);
    (void)mbedtls_sha256_update(sha, block, sizeof block);
    mbedtls_platform_zeroize(block, sizeof block);
}

static void end_hash(mbedtls_sha256_context *sha, uint8_t digest[DRBG_BLOCK])
{
    (void)mbedtls_sha256_finish(sha, digest);
    mbedtls_sha256_free(sha);
}

// What stands behind the value in the text of an HMAC: nothing, or a mark and a seed.
struct rest {
    uint8_t mark;
    size_t marks; // 0 or 1
    const uint8_t *seed;
    size_t length;
};

static const struct rest nothing;

// HMAC(key, value || rest), into either of the two.
static void hmac(const struct drbg *d, const struct rest *rest, uint8_t mac[DRBG_BLOCK])
{
    mbedtls_sha256_context sha;
    uint8_t inner[DRBG_BLOCK];
    begin_hash(&sha, d->key, 0x36);
    (void)mbedtls_sha256_update(&sha, d->value, sizeof d->value);
    (void)mbedtls_sha256_update(&sha, &rest->mark, rest->marks);
    (void)mbedtls_sha256_update(&sha, rest->seed, rest->length);
    end_hash(&sha, inner);
    begin_hash(&sha, d->key, 0x5c);
    (void)mbedtls_sha256_update(&sha, inner, sizeof inner);
    end_hash(&sha, mac);
    mbedtls_platform_zeroize(inner, sizeof inner);
}

// HMAC_DRBG_Update: once without a seed, twice with one.
static void update(struct drbg *d, const uint8_t *seed, size_t length)
{
    int marks = length > 0 ? 2 : 1;
    for (int mark = 0; mark < marks; mark++) {
        hmac(d, &(struct rest){(uint8_t)mark, 1, seed, length}, d->key);
        hmac(d, &nothing, d->value);
    }
}

void drbg_seed(struct drbg *d, const uint8_t *seed, size_t length)
{
    memset(d->key, 0, sizeof d->key);
    memset(d->value, 1, sizeof d->value);
    update(d, seed, length);
}

void drbg_generate(struct drbg *d, uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t n = length < DRBG_BLOCK ? length : DRBG_BLOCK;
        hmac(d, &nothing, d->value);
        memcpy(bytes, d->value, n);
        bytes += n;
        length -= n;
    }
    update(d, NULL, 0);
}
