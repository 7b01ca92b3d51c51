#include "entropy.h"
#include "../../port/port.h"
#include "board.h"
#include "drbg.h"
#include "note.h"
#include "retained.h"
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <string.h>

static struct drbg drbg;
static bool seeded;

// Seeds with everything that there is, hashed. More sources can't make it worse.
static bool gather(void)
{
    uint8_t note[64] = {0}, last[SEED_BYTES], own[SEED_BYTES] = {0}, gathered[DRBG_BLOCK];
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
    drbg_seed(&drbg, gathered, sizeof gathered);
    mbedtls_platform_zeroize(gathered, sizeof gathered);
    mbedtls_platform_zeroize(note, sizeof note);
    mbedtls_platform_zeroize(last, sizeof last);
    mbedtls_platform_zeroize(own, sizeof own);
    return has_note || has_last || has_own;
}

bool entropy_start(void)
{
    seeded = gather();
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
        size_t n = length < DRBG_MOST ? length : DRBG_MOST;
        drbg_generate(&drbg, at, n);
        at += n;
        length -= n;
    }
    return seeded;
}
