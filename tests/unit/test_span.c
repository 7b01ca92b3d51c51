// Spans: bytes that belong to somebody else.
#include "../../port/span.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct span nothing = {NULL, 0};

static void assert_span(struct span s, const char *expected)
{
    assert_int_equal(s.length, strlen(expected));
    if (s.length > 0)
        assert_memory_equal(s.at, expected, s.length);
}

static void equality_counts_every_byte(void **state)
{
    (void)state;
    assert_true(span_equal(span_of("abc"), span_of("abc")));
    assert_false(span_equal(span_of("abc"), span_of("abd")));
    assert_false(span_equal(span_of("abc"), span_of("ab")));
    assert_true(span_equal(nothing, span_of("")));
    assert_true(span_equal((struct span){"a\0b", 3}, (struct span){"a\0b", 3}));
    assert_false(span_equal((struct span){"a\0b", 3}, (struct span){"a\0c", 3}));
}

static void case_is_ignored_for_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(span_equal_nocase(span_of("Content-LENGTH"), span_of("content-length")));
    assert_true(span_equal_nocase(span_of("AZaz"), span_of("azAZ")));
    assert_false(span_equal_nocase(span_of("abc"), span_of("abcd")));
    // The neighbours of the letters differ from each other by the same bit that case does.
    assert_false(span_equal_nocase(span_of("@"), span_of("`")));
    assert_false(span_equal_nocase(span_of("["), span_of("{")));
    // U+00C4 and U+00E4 in UTF-8.
    assert_false(span_equal_nocase(span_of("\xc3\x84"), span_of("\xc3\xa4")));
    assert_true(span_equal_nocase(nothing, nothing));
}

static void a_prefix_may_be_empty_or_the_whole(void **state)
{
    (void)state;
    assert_true(span_starts(span_of("guest-1"), span_of("guest-")));
    assert_true(span_starts(span_of("guest-"), span_of("guest-")));
    assert_true(span_starts(span_of("x"), nothing));
    assert_false(span_starts(span_of("guest"), span_of("guest-")));
    assert_false(span_starts(nothing, span_of("g")));
}

static void a_prefix_may_ignore_case(void **state)
{
    (void)state;
    assert_true(span_starts_nocase(span_of("Guest-1"), span_of("gUEST-")));
    assert_true(span_starts_nocase(span_of("GUEST-"), span_of("guest-")));
    assert_true(span_starts_nocase(nothing, nothing));
    assert_false(span_starts_nocase(span_of("guest"), span_of("guest-")));
    assert_false(span_starts_nocase(span_of("[x"), span_of("{")));
}

static void behind_a_prefix_is_the_rest(void **state)
{
    (void)state;
    struct span whole = span_of("Bearer abc");
    assert_span(span_behind(whole, 7), "abc");
    assert_ptr_equal(span_behind(whole, 7).at, whole.at + 7);
    assert_span(span_behind(whole, 0), "Bearer abc");
    assert_span(span_behind(whole, whole.length), "");
}

static void trimming_takes_four_bytes_off_both_ends(void **state)
{
    (void)state;
    assert_span(span_trim(span_of(" \t\r\nhello world\n\r\t ")), "hello world");
    assert_span(span_trim(span_of("hello")), "hello");
    assert_span(span_trim(span_of(" \r\n\t")), "");
    assert_span(span_trim(nothing), "");
    assert_span(span_trim(span_of("\v a \f")), "\v a \f");
    struct span with_nul = span_trim((struct span){"\0 ", 2});
    assert_int_equal(with_nul.length, 1);
}

static void cutting_walks_through_a_list(void **state)
{
    (void)state;
    struct span rest = span_of("a,,bc,");
    assert_span(span_cut(&rest, ','), "a");
    assert_span(span_cut(&rest, ','), "");
    assert_span(span_cut(&rest, ','), "bc");
    assert_int_equal(rest.length, 0);
    assert_span(span_cut(&rest, ','), "");
}

static void cutting_without_a_mark_gives_the_whole(void **state)
{
    (void)state;
    struct span rest = span_of("abc");
    assert_span(span_cut(&rest, ','), "abc");
    assert_int_equal(rest.length, 0);
    rest = nothing;
    assert_span(span_cut(&rest, ','), "");
    assert_int_equal(rest.length, 0);
}

static void cutting_stays_inside_the_span(void **state)
{
    (void)state;
    struct span rest = {"ab,cd", 2};
    assert_span(span_cut(&rest, ','), "ab");
    assert_int_equal(rest.length, 0);
}

static void assert_number(const char *text, uint64_t most, uint64_t expected)
{
    uint64_t value = 77;
    assert_true(span_number(span_of(text), most, &value));
    assert_true(value == expected);
}

static void assert_no_number(const char *text, uint64_t most)
{
    uint64_t value = 77;
    assert_false(span_number(span_of(text), most, &value));
    assert_true(value == 77);
}

static void numbers_end_at_their_bound(void **state)
{
    (void)state;
    assert_number("0", 0, 0);
    assert_number("7", 7, 7);
    assert_no_number("8", 7);
    assert_number("255", 255, 255);
    assert_no_number("256", 255);
    assert_no_number("1000", 255);
    assert_number("0000000000000000000000000000255", 255, 255);
    assert_number("18446744073709551615", UINT64_MAX, UINT64_MAX);
    assert_no_number("18446744073709551616", UINT64_MAX);
    assert_no_number("99999999999999999999", UINT64_MAX);
    assert_no_number("184467440737095516150", UINT64_MAX);
}

// Every bound against every number near it: the overflow check has no off-by-one.
static void numbers_are_right_around_every_small_bound(void **state)
{
    (void)state;
    for (unsigned most = 0; most < 130; most++) {
        for (unsigned n = 0; n < 150; n++) {
            char text[4] = {(char)('0' + n / 100), (char)('0' + n / 10 % 10), (char)('0' + n % 10), 0};
            uint64_t value = 999;
            assert_int_equal(span_number(span_of(text), most, &value), n <= most);
            assert_int_equal(value, n <= most ? n : 999);
        }
    }
}

static void numbers_have_no_sign_and_no_space(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "+1", "-1", " 1", "1 ", "1.0", "0x1", "1e3", "a", "/", ":"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_no_number(wrong[i], UINT64_MAX);
    uint64_t value = 77;
    assert_false(span_number((struct span){"1\0", 2}, 100, &value));
}

static void secrets_compare_like_any_bytes(void **state)
{
    (void)state;
    assert_true(span_equal_secret(span_of("123456"), span_of("123456")));
    assert_false(span_equal_secret(span_of("123456"), span_of("123457")));
    assert_false(span_equal_secret(span_of("023456"), span_of("123456")));
    assert_false(span_equal_secret(span_of("12345"), span_of("123456")));
    assert_false(span_equal_secret(nothing, span_of("1")));
    assert_true(span_equal_secret(nothing, nothing));
}

// Lengths that are equal in their low byte are still different lengths.
static void secrets_of_other_lengths_differ(void **state)
{
    (void)state;
    static char longer[257];
    memset(longer, 'a', sizeof longer);
    assert_false(span_equal_secret((struct span){longer, 257}, (struct span){longer, 1}));
    assert_false(span_equal_secret((struct span){longer, 256}, (struct span){longer, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_counts_every_byte),
        cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
        cmocka_unit_test(a_prefix_may_be_empty_or_the_whole),
        cmocka_unit_test(a_prefix_may_ignore_case),
        cmocka_unit_test(behind_a_prefix_is_the_rest),
        cmocka_unit_test(trimming_takes_four_bytes_off_both_ends),
        cmocka_unit_test(cutting_walks_through_a_list),
        cmocka_unit_test(cutting_without_a_mark_gives_the_whole),
        cmocka_unit_test(cutting_stays_inside_the_span),
        cmocka_unit_test(numbers_end_at_their_bound),
        cmocka_unit_test(numbers_are_right_around_every_small_bound),
        cmocka_unit_test(numbers_have_no_sign_and_no_space),
        cmocka_unit_test(secrets_compare_like_any_bytes),
        cmocka_unit_test(secrets_of_other_lengths_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
