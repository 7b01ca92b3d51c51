// UTF-8 against a reference that decodes first and judges the code point afterwards.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../services/proto/utf8.h"
#include "guard_support.h"

/// Reference ///

static int sequence_length(uint8_t lead)
{
    if ((lead & 0x80) == 0)
        return 1;
    if ((lead & 0xE0) == 0xC0)
        return 2;
    if ((lead & 0xF0) == 0xE0)
        return 3;
    return (lead & 0xF8) == 0xF0 ? 4 : 0;
}

static bool code_point_allowed(uint32_t point, int length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    return point >= least[length] && point <= 0x10FFFF && !(point >= 0xD800 && point <= 0xDFFF);
}

static bool reference_valid(const uint8_t *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        int sequence = sequence_length(bytes[at]);
        if (sequence == 0 || at + (size_t)sequence > length)
            return false;
        uint32_t point = sequence == 1 ? bytes[at] : bytes[at] & (0x7Fu >> sequence);
        for (int i = 1; i < sequence; i++) {
            if ((bytes[at + (size_t)i] & 0xC0) != 0x80)
                return false;
            point = point << 6 | (bytes[at + (size_t)i] & 0x3Fu);
        }
        if (!code_point_allowed(point, sequence))
            return false;
        at += (size_t)sequence;
    }
    return true;
}

static bool ours(const uint8_t *bytes, size_t length)
{
    return utf8_valid((struct span){(const char *)bytes, length});
}

// True when some bytes can follow that make the whole valid. The bounds of all continuation bytes stand in `ends`, and
// no prefix lacks more than three bytes.
static bool reference_hopeful(const uint8_t *prefix, size_t length, int depth)
{
    static const uint8_t ends[] = {0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF};
    uint8_t longer[8];
    if (reference_valid(prefix, length))
        return true;
    if (depth == 0)
        return false;
    memcpy(longer, prefix, length);
    for (size_t i = 0; i < sizeof ends; i++) {
        longer[length] = ends[i];
        if (reference_hopeful(longer, length + 1, depth - 1))
            return true;
    }
    return false;
}

/// Exhaustive ///

static void test_all_of_one_two_and_three_bytes(void **state)
{
    (void)state;
    uint32_t wrong = 0;
    uint32_t valid = 0;
    for (uint32_t n = 0; n < 1u << 24; n++) {
        uint8_t bytes[] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        wrong += ours(bytes, 3) != reference_valid(bytes, 3);
        valid += ours(bytes, 3);
        if (n >> 16 == 0)
            wrong += ours(bytes + 1, 2) != reference_valid(bytes + 1, 2);
        if (n >> 8 == 0)
            wrong += ours(bytes + 2, 1) != reference_valid(bytes + 2, 1);
    }
    assert_int_equal(wrong, 0);
    // Three of ASCII, ASCII and two bytes in both orders, and U+0800..U+FFFF without the surrogates.
    assert_int_equal(valid, 128 * 128 * 128 + 2 * 128 * 1920 + 61440);
}

static void test_all_leads_of_four_bytes(void **state)
{
    (void)state;
    static const uint8_t tails[] = {0x00, 0x41, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F,
                                    0xA0, 0xBE, 0xBF, 0xC0, 0xC2, 0xE0, 0xF4, 0xFF};
    uint32_t wrong = 0;
    for (uint32_t n = 0; n < 1u << 16; n++)
        for (size_t i = 0; i < sizeof tails; i++)
            for (size_t j = 0; j < sizeof tails; j++) {
                uint8_t bytes[] = {(uint8_t)(n >> 8), (uint8_t)n, tails[i], tails[j]};
                wrong += ours(bytes, 4) != reference_valid(bytes, 4);
            }
    assert_int_equal(wrong, 0);
}

static void test_every_code_point(void **state)
{
    (void)state;
    uint32_t valid = 0;
    for (uint32_t p = 0x10000; p < 0x200000; p++) {
        uint8_t bytes[] = {(uint8_t)(0xF0 | p >> 18), (uint8_t)(0x80 | (p >> 12 & 0x3F)),
                           (uint8_t)(0x80 | (p >> 6 & 0x3F)), (uint8_t)(0x80 | (p & 0x3F))};
        valid += ours(bytes, 4);
    }
    assert_int_equal(valid, 0x110000 - 0x10000);
}

/// Streaming ///

static bool feed(const uint8_t *bytes, size_t length)
{
    struct utf8 u = {0};
    return utf8_feed(&u, bytes, length);
}

static void test_fails_at_the_first_hopeless_byte(void **state)
{
    (void)state;
    uint32_t wrong = 0;
    for (uint32_t n = 0; n < 1u << 16; n++) {
        uint8_t bytes[8] = {(uint8_t)(n >> 8), (uint8_t)n};
        wrong += feed(bytes, 1) != reference_hopeful(bytes, 1, 3);
        wrong += feed(bytes, 2) != reference_hopeful(bytes, 2, 3);
        for (uint32_t third = 0x70; third < 0xD0 && bytes[0] >= 0xE0; third++) {
            bytes[2] = (uint8_t)third;
            wrong += feed(bytes, 3) != reference_hopeful(bytes, 3, 2);
        }
    }
    assert_int_equal(wrong, 0);
}

static const char *const texts[] = {
    "",
    "plain ASCII, longer than a few words of the machine",
    "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5",
    "abc\xF4\x8F\xBF\xBF"
    "defgh\xE2\x82\xAC"
    "ijklmnopq\xC2\x80",
    "\xEF\xBF\xBF\xEF\xBF\xBE\xF0\x9F\xBF\xBE\xEF\xB7\x90", // noncharacters are valid
    "\xED\x9F\xBF\xEE\x80\x80",                             // around the surrogates
};

static void test_split_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)texts[i];
        size_t length = strlen(texts[i]);
        assert_true(ours(bytes, length));
        for (size_t split = 0; split <= length; split++) {
            struct utf8 u = {0};
            assert_true(utf8_feed(&u, bytes, split));
            assert_true(utf8_complete(&u) == reference_valid(bytes, split));
            assert_true(utf8_feed(&u, bytes + split, length - split));
            assert_true(utf8_complete(&u));
        }
    }
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct utf8 u = {0};
        for (size_t at = 0; at < strlen(texts[i]); at++) {
            assert_true(utf8_feed(&u, (const uint8_t *)texts[i] + at, 1));
            assert_true(utf8_complete(&u) == reference_valid((const uint8_t *)texts[i], at + 1));
        }
        assert_true(utf8_complete(&u));
    }
}

static void test_truncated_is_not_valid(void **state)
{
    (void)state;
    assert_false(ours((const uint8_t *)"abc\xC3", 4));
    assert_false(ours((const uint8_t *)"abcd\xE2\x82", 6));
    assert_false(ours((const uint8_t *)"\xF0\x9F\x98", 3));
    assert_true(utf8_valid((struct span){NULL, 0}));
}

// The bad byte at every offset from a word's start: behind 0 to 16 bytes of ASCII.
static void test_bad_byte_behind_ascii(void **state)
{
    (void)state;
    static const uint8_t bad[] = {0x80, 0xBF, 0xC0, 0xC1, 0xF5, 0xF8, 0xFC, 0xFE, 0xFF};
    for (size_t i = 0; i < sizeof bad; i++)
        for (size_t before = 0; before <= 16; before++) {
            uint8_t bytes[32];
            memset(bytes, 'a', sizeof bytes);
            assert_true(ours(bytes, sizeof bytes));
            bytes[before] = bad[i];
            assert_false(ours(bytes, sizeof bytes));
            assert_false(ours(bytes, before + 1));
            assert_true(ours(bytes, before));
        }
}

// ASCII that begins inside a character, before what would have ended it.
static void test_ascii_inside_a_character(void **state)
{
    (void)state;
    static const char *const characters[] = {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t c = 0; c < sizeof characters / sizeof characters[0]; c++)
        for (size_t torn_at = 1; torn_at < strlen(characters[c]); torn_at++)
            for (size_t between = 1; between <= 16; between++) {
                uint8_t bytes[32];
                size_t tail = strlen(characters[c]) - torn_at;
                memset(bytes, 'a', sizeof bytes);
                memcpy(bytes, characters[c], torn_at);
                memcpy(bytes + torn_at + between, characters[c] + torn_at, tail);
                assert_false(ours(bytes, torn_at + between + tail));
                assert_false(feed(bytes, torn_at + between));
            }
}

/// Guard page ///

static void test_reads_nothing_behind_the_end(void **state)
{
    (void)state;
    uint8_t *end = guard_behind(4096);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t cut = 0; cut <= strlen(texts[i]); cut++) {
            memcpy(end - cut, texts[i], cut);
            assert_true(ours(end - cut, cut) == reference_valid(end - cut, cut));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_one_two_and_three_bytes),
        cmocka_unit_test(test_all_leads_of_four_bytes),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_fails_at_the_first_hopeless_byte),
        cmocka_unit_test(test_split_anywhere),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_truncated_is_not_valid),
        cmocka_unit_test(test_bad_byte_behind_ascii),
        cmocka_unit_test(test_ascii_inside_a_character),
        cmocka_unit_test(test_reads_nothing_behind_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
