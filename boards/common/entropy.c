#include "entropy.h"
#include "../../port/port.h"
#include "board.h"
#include "note.h"
#include "retained.h"
#include <limits.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <string.h>

static mbedtls_ctr_drbg_context drbg;
static bool seeded;

// Everything that was gathered, hashed. More sources can't make it worse.
static uint8_t gathered[32];

static int hand_over_seed(void *unused, unsigned char *bytes, size_t length)
{
    (void)unused;
    if (length > sizeof gathered)
        return MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
    memcpy(bytes, gathered, length);
    return 0;
}

static bool gather(void)
{
    uint8_t note[64] = {0}, last[SEED_BYTES], own[SEED_BYTES] = {0};
    size_t length;
    uint32_t moment = port_now_us(); // a little, on a real chip
    bool has_note = note_seed(note, sizeof note, &length);
    bool has_last = retained_seed(last);
    bool has_own = board_seed(own);
    mbedtls_sha256_context sha;
    mbedtls_sha256_init(&sha);
    mbedtls_sha256_starts(&sha, 0);
    mbedtls_sha256_update(&sha, note, sizeof note);
    mbedtls_sha256_update(&sha, last, sizeof last);
    mbedtls_sha256_update(&sha, own, sizeof own);
    mbedtls_sha256_update(&sha, (const uint8_t *)&moment, sizeof moment);
    mbedtls_sha256_finish(&sha, gathered);
    mbedtls_sha256_free(&sha);
    mbedtls_platform_zeroize(note, sizeof note);
    mbedtls_platform_zeroize(last, sizeof last);
    mbedtls_platform_zeroize(own, sizeof own);
    return has_note || has_last || has_own;
}

bool entropy_start(void)
{
    mbedtls_ctr_drbg_init(&drbg);
    mbedtls_ctr_drbg_set_entropy_len(&drbg, sizeof gathered);
    mbedtls_ctr_drbg_set_nonce_len(&drbg, 0);
    mbedtls_ctr_drbg_set_reseed_interval(&drbg, INT_MAX);
    const unsigned char use[] = "Pipit board";
    seeded = gather() && mbedtls_ctr_drbg_seed(&drbg, hand_over_seed, NULL, use, sizeof use) == 0;
    mbedtls_platform_zeroize(gathered, sizeof gathered);
    uint8_t next[SEED_BYTES];
    if (port_entropy(next, sizeof next))
        retained_leave_seed(next);
    mbedtls_platform_zeroize(next, sizeof next);
    return seeded;
}

bool port_entropy(void *bytes, size_t length)
{
    uint8_t *at = bytes;
    while (seeded && length > 0) {
        size_t n = length < MBEDTLS_CTR_DRBG_MAX_REQUEST ? length : MBEDTLS_CTR_DRBG_MAX_REQUEST;
        seeded = mbedtls_ctr_drbg_random(&drbg, at, n) == 0;
        at += n;
        length -= n;
    }
    return seeded;
}
