// Text in a buffer of the caller's: nothing past its end, nothing lost unnoticed.
#include "../../port/text.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(const struct text *t, const char *expected)
{
    assert_int_equal(t->length, strlen(expected));
    assert_memory_equal(t->at, expected, t->length);
}

static void pieces_are_appended(void **state)
{
    (void)state;
    char buffer[32];
    struct text t = text_in(buffer, sizeof buffer);
    text_string(&t, "ab");
    text_byte(&t, 'c');
    text_span(&t, (struct span){"def", 2});
    text_span(&t, (struct span){NULL, 0});
    assert_text(&t, "abcde");
    assert_false(t.cut);
    assert_ptr_equal(text_whole(&t).at, buffer);
    assert_int_equal(text_whole(&t).length, 5);
    assert_string_equal(text_end(&t), "abcde");
}

static void what_does_not_fit_is_cut_and_remembered(void **state)
{
    (void)state;
    char buffer[8] = "-------";
    struct text t = text_in(buffer, 4);
    text_string(&t, "abcd");
    assert_false(t.cut);
    text_string(&t, "");
    assert_false(t.cut);
    text_byte(&t, 'e');
    assert_true(t.cut);
    text_string(&t, "more");
    text_format(&t, "%d and %s", 5, "more");
    text_hex(&t, (const uint8_t *)"\x01", 1);
    text_json(&t, span_of("\"\n"));
    assert_text(&t, "abcd");
    assert_string_equal(buffer, "abcd---");
}

static void a_string_is_cut_in_its_middle(void **state)
{
    (void)state;
    char buffer[8] = "-------";
    struct text t = text_in(buffer, 5);
    text_string(&t, "abc");
    text_string(&t, "def");
    assert_true(t.cut);
    assert_text(&t, "abcde");
    assert_string_equal(text_end(&t), "abcd");
    assert_string_equal(buffer + 5, "--");
}

static void a_buffer_of_no_size_takes_nothing(void **state)
{
    (void)state;
    char buffer[1] = "x";
    struct text t = text_in(buffer, 0);
    text_byte(&t, 'a');
    text_format(&t, "%u", 1u);
    assert_true(t.cut);
    assert_int_equal(t.length, 0);
    assert_int_equal(buffer[0], 'x');
}

// Our formatter and the C library's agree on everything that ours understands.
#define AGREE(...)                                                                                                     \
    do {                                                                                                               \
        char ours[128], theirs[128];                                                                                   \
        struct text t = text_in(ours, sizeof ours);                                                                    \
        text_format(&t, __VA_ARGS__);                                                                                  \
        snprintf(theirs, sizeof theirs, __VA_ARGS__);                                                                  \
        assert_string_equal(text_end(&t), theirs);                                                                     \
    } while (0)

static void conversions_agree_with_the_c_library(void **state)
{
    (void)state;
    AGREE("nothing");
    AGREE("%s|%s", "", "abc");
    AGREE("%.*s|%.*s", 2, "abc", 0, "abc");
    AGREE("%c%c", 'a', '\t');
    AGREE("100%%");
    AGREE("%d %d %d", 0, INT_MAX, INT_MIN);
    AGREE("%u %x", UINT_MAX, UINT_MAX);
    AGREE("%ld %ld", LONG_MAX, LONG_MIN);
    AGREE("%lld %lld", LLONG_MAX, LLONG_MIN);
    AGREE("%lu %llu %lx %llx", ULONG_MAX, ULLONG_MAX, ULONG_MAX, ULLONG_MAX);
    AGREE("%zu %zx", SIZE_MAX, SIZE_MAX);
    AGREE("%02x %02x %02x", 0u, 15u, 255u);
    AGREE("%03u %03u %03u", 0u, 99u, 1000u);
    AGREE("%08x %016llx", 0xabcu, 0xabcull);
}

static void a_span_without_nul_is_read_no_further(void **state)
{
    (void)state;
    char ours[16];
    const char name[3] = {'b', 'o', 'b'};
    struct text t = text_in(ours, sizeof ours);
    text_format(&t, "<%.*s>", 3, name);
    assert_text(&t, "<bob>");
}

static void append_twice(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_vformat(t, format, arguments);
    text_vformat(t, format, arguments);
    va_end(arguments);
}

static void vformat_leaves_the_callers_arguments_alone(void **state)
{
    (void)state;
    char buffer[32];
    struct text t = text_in(buffer, sizeof buffer);
    append_twice(&t, "%s %llu;", "a", 1ull << 40);
    assert_text(&t, "a 1099511627776;a 1099511627776;");
}

static void hex_is_two_lower_case_digits_a_byte(void **state)
{
    (void)state;
    char buffer[16];
    struct text t = text_in(buffer, sizeof buffer);
    text_hex(&t, (const uint8_t[]){0x00, 0x0a, 0xff, 0x10}, 4);
    text_hex(&t, NULL, 0);
    assert_text(&t, "000aff10");
}

static void json_escapes_what_rfc_8259_says(void **state)
{
    (void)state;
    char buffer[128];
    struct text t = text_in(buffer, sizeof buffer);
    text_json(&t, span_of("a\"b\\c/\n\r\t\b\f\x01\x1f \x7f\xc3\xa4\xf0\x9f\x90\xa6"));
    assert_text(&t, "a\\\"b\\\\c/\\n\\r\\t\\b\\f\\u0001\\u001f \x7f\xc3\xa4\xf0\x9f\x90\xa6");
    assert_false(t.cut);
}

static void json_escapes_nul_too(void **state)
{
    (void)state;
    char buffer[16];
    struct text t = text_in(buffer, sizeof buffer);
    text_json(&t, (struct span){"a\0b", 3});
    assert_text(&t, "a\\u0000b");
}

// Every byte below 0x20 is escaped, so nobody can end a string or a line of ours.
static void json_lets_no_control_byte_through(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 0x20; byte++) {
        char buffer[8];
        char one = (char)byte;
        struct text t = text_in(buffer, sizeof buffer);
        text_json(&t, (struct span){&one, 1});
        assert_true(t.length == 2 || t.length == 6);
        assert_int_equal(buffer[0], '\\');
        assert_null(memchr(buffer, (int)byte, t.length));
    }
}

static void the_end_goes_over_the_last_byte_of_a_full_text(void **state)
{
    (void)state;
    char buffer[4];
    struct text t = text_in(buffer, sizeof buffer);
    text_string(&t, "abcd");
    assert_string_equal(text_end(&t), "abc");
    assert_int_equal(text_whole(&t).length, 3);
}

static void put_some_of_everything(struct text *t)
{
    text_byte(t, 'x');
    text_string(t, "words");
    text_format(t, "%s %u %04x", "more", 1234567u, 0xabu);
    text_json(t, span_of("\"\x01\\\n\xc3\xa4"));
    text_hex(t, (const uint8_t *)"\x00\xff", 2);
}

static void test_counting_is_writing_nothing(void **state)
{
    (void)state;
    char buffer[200];
    struct text written = text_in(buffer, sizeof buffer);
    struct text counted = text_count();
    put_some_of_everything(&written);
    put_some_of_everything(&counted);
    assert_false(written.cut || counted.cut);
    assert_int_equal(counted.length, written.length);
    assert_null(counted.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_appended),
        cmocka_unit_test(what_does_not_fit_is_cut_and_remembered),
        cmocka_unit_test(a_string_is_cut_in_its_middle),
        cmocka_unit_test(a_buffer_of_no_size_takes_nothing),
        cmocka_unit_test(conversions_agree_with_the_c_library),
        cmocka_unit_test(a_span_without_nul_is_read_no_further),
        cmocka_unit_test(vformat_leaves_the_callers_arguments_alone),
        cmocka_unit_test(hex_is_two_lower_case_digits_a_byte),
        cmocka_unit_test(json_escapes_what_rfc_8259_says),
        cmocka_unit_test(json_escapes_nul_too),
        cmocka_unit_test(json_lets_no_control_byte_through),
        cmocka_unit_test(the_end_goes_over_the_last_byte_of_a_full_text),
        cmocka_unit_test(test_counting_is_writing_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
