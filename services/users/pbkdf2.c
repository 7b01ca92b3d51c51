#include "pbkdf2.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define HASH_BLOCK 64 // bytes that SHA-256 takes at once

static mbedtls_sha256_context scratch; // one for all: nothing is in it between two calls

// mbedTLS' return values are not looked at: its SHA-256 in software fails only when asked for a digest other than
// SHA-224 or SHA-256.
static void hash(struct span text, uint8_t digest[PBKDF2_BLOCK])
{
    (void)mbedtls_sha256((const uint8_t *)text.at, text.length, digest, 0);
}

static void begin_pad(mbedtls_sha256_context *context, const uint8_t key[HASH_BLOCK], uint8_t pad)
{
    uint8_t block[HASH_BLOCK];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = key[i] ^ pad;
    mbedtls_sha256_init(context);
    (void)mbedtls_sha256_starts(context, 0);
    (void)mbedtls_sha256_update(context, block, sizeof block);
    mbedtls_platform_zeroize(block, sizeof block);
}

// RFC 2104: a key longer than the block is hashed first, a shorter one is filled up with zeros.
static void begin_hmac(struct pbkdf2 *p, struct span password)
{
    uint8_t key[HASH_BLOCK] = {0};
    if (password.length > sizeof key)
        hash(password, key);
    else if (password.length > 0)
        memcpy(key, password.at, password.length);
    begin_pad(&p->inner, key, 0x36);
    begin_pad(&p->outer, key, 0x5c);
    mbedtls_platform_zeroize(key, sizeof key);
}

// `scratch` holds the inner hash; the HMAC goes to `last`.
static void end_hmac(struct pbkdf2 *p)
{
    (void)mbedtls_sha256_finish(&scratch, p->last);
    mbedtls_sha256_clone(&scratch, &p->outer);
    (void)mbedtls_sha256_update(&scratch, p->last, sizeof p->last);
    (void)mbedtls_sha256_finish(&scratch, p->last);
}

void pbkdf2_begin(struct pbkdf2 *p, struct span password, struct span salt, uint32_t block, uint32_t rounds)
{
    const uint8_t number[4] = {(uint8_t)(block >> 24), (uint8_t)(block >> 16), (uint8_t)(block >> 8), (uint8_t)block};
    begin_hmac(p, password);
    mbedtls_sha256_clone(&scratch, &p->inner);
    if (salt.length > 0)
        (void)mbedtls_sha256_update(&scratch, (const uint8_t *)salt.at, salt.length);
    (void)mbedtls_sha256_update(&scratch, number, sizeof number);
    end_hmac(p);
    memcpy(p->key, p->last, sizeof p->key);
    p->left = rounds == 0 ? 0 : rounds - 1;
    mbedtls_platform_zeroize(&scratch, sizeof scratch);
}

static void iterate(struct pbkdf2 *p)
{
    mbedtls_sha256_clone(&scratch, &p->inner);
    (void)mbedtls_sha256_update(&scratch, p->last, sizeof p->last);
    end_hmac(p);
    for (size_t i = 0; i < sizeof p->key; i++)
        p->key[i] ^= p->last[i];
}

bool pbkdf2_step(struct pbkdf2 *p, uint32_t most)
{
    for (; p->left > 0 && most > 0; p->left--, most--)
        iterate(p);
    mbedtls_platform_zeroize(&scratch, sizeof scratch);
    return p->left == 0;
}

void pbkdf2_wipe(struct pbkdf2 *p)
{
    mbedtls_platform_zeroize(p, sizeof *p);
}
