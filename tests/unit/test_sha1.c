// SHA-1 with our compression of a block (port/sha1_block.c), against FIPS 180's answers and RFC 3174's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <mbedtls/sha1.h>
#include <string.h>

#include "../../port/text.h"

static void assert_digest(mbedtls_sha1_context *sha, const char *expected)
{
    uint8_t digest[20];
    char digits[2 * sizeof digest + 1];
    struct text t = text_in(digits, sizeof digits);
    assert_int_equal(mbedtls_sha1_finish(sha, digest), 0);
    text_hex(&t, digest, sizeof digest);
    assert_string_equal(text_end(&t), expected);
}

static void assert_hashed(const char *text, size_t times, const char *expected)
{
    mbedtls_sha1_context sha;
    mbedtls_sha1_init(&sha);
    assert_int_equal(mbedtls_sha1_starts(&sha), 0);
    for (size_t i = 0; i < times; i++)
        assert_int_equal(mbedtls_sha1_update(&sha, (const uint8_t *)text, strlen(text)), 0);
    assert_digest(&sha, expected);
}

static void known_answers(void **state)
{
    (void)state;
    assert_hashed("", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_hashed("abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_hashed("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                  "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    assert_hashed("0123456701234567012345670123456701234567012345670123456701234567", 10,
                  "dea356a2cddd90c7a7ecedc5ebb563934f460452");
    assert_hashed("a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
