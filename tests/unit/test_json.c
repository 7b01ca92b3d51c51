#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../services/gateway/json.h"
#include <stdlib.h>
#include <string.h>

// The body in a block of exactly its size, so that AddressSanitizer sees a read past its end.
static enum json_error parse_bytes(const char *bytes, size_t length)
{
    char *copy = malloc(length + (length == 0));
    memcpy(copy, bytes, length);
    enum json_error error = json_parse((struct span){copy, length});
    free(copy);
    return error;
}

static enum json_error parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void assert_field(const char *name, const char *expected)
{
    struct span value = {0};
    assert_int_equal(json_string(name, &value), JSON_OK);
    assert_int_equal(value.length, strlen(expected));
    assert_memory_equal(value.at, expected, value.length);
}

static void test_fields(void **state)
{
    (void)state;
    assert_int_equal(
        parse(" {\"user\":\"alice\", \"Email\":\"a@b\",\r\n\"n\":1,\"o\":{\"user\":\"inner\"},\"x\":null}\t\n"),
        JSON_OK);
    assert_field("user", "alice");
    assert_field("Email", "a@b");
    struct span value = {0};
    assert_int_equal(json_string("email", &value), JSON_MISSING); // names are case-sensitive
    assert_int_equal(json_string("n", &value), JSON_WRONG_TYPE);
    assert_int_equal(json_string("o", &value), JSON_WRONG_TYPE);
    assert_int_equal(json_string("x", &value), JSON_WRONG_TYPE);
    assert_null(value.at);
}

static void test_nothing_after_failure(void **state)
{
    (void)state;
    struct span value = {0};
    assert_int_equal(parse("{\"user\":\"alice\"}"), JSON_OK);
    assert_int_equal(parse("{\"user\":\"bob\"} x"), JSON_MALFORMED);
    assert_int_equal(json_string("user", &value), JSON_MISSING);
    assert_int_equal(parse("{\"user\":\"alice\"}"), JSON_OK);
    json_forget();
    assert_int_equal(json_string("user", &value), JSON_MISSING);
}

static void test_escapes(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"a\":\"\\u00e4\\ud83d\\udc26\\n\\\"\\\\\\/\\b\\f\\r\\t\",\"\\u0062\":\"named\"}"),
                     JSON_OK);
    assert_field("a", "\xc3\xa4\xf0\x9f\x90\xa6\n\"\\/\b\f\r\t");
    assert_field("b", "named");
    assert_int_equal(parse("{\"a\":\"\xf0\x9f\x90\xa6\"}"), JSON_OK);
    assert_field("a", "\xf0\x9f\x90\xa6");
}

static const char *const good[] = {
    "{}",
    " {} ",
    "{\"a\":[]}",
    "{\"a\":[1,2.5,-0,1e5,1E+5,0.1e-2,-10]}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{\"a\":{\"a\":{\"a\":1}}}", // one name on several levels
    "{\"a\":1,\"A\":2}",         // case tells names apart
    "{\"a\":[[[[[[1]]]]]]}",
    "{\"a\":\"\"}",
    "{\"\":\"\"}",
    "{\"a\":\"\x7f\"}", // DEL is no control character for RFC 8259
};

static const char *const bad[] = {
    "",
    " ",
    "x",
    "[]",
    "[{}]",
    "\"a\"",
    "1",
    "null",
    "{",
    "}",
    "{}}",
    "{}{}",
    "{} x",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":\"x}",
    "{\"a\":\"x\\\"}",
    "{\"a\":\"\\",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\\u12g4\"}",
    "{\"a\":\"\\uZZZZ\"}", // cJSON alone would take this for a NUL
    "{\"a\":\"\\u0000\"}",
    "{\"a\":\"x\\u0000y\"}",
    "{\"a\\u0000\":1}",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":\"\\ud800x\"}",
    "{\"a\":\"\\ud800\\u0041\"}",
    "{\"a\":\"\\udc26\"}",
    "{\"a\":\"\x01\"}",
    "{\"a\":\"x\ny\"}",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"\xc0\x80\"}",
    "{\"a\":\"\xed\xa0\x80\"}",
    "{\"a\":\"\xc3\"}",
    "\xef\xbb\xbf{}",
    "\x01{}",
    "{}\x0b",
    "{\"a\":01}",
    "{\"a\":1.}",
    "{\"a\":.5}",
    "{\"a\":-}",
    "{\"a\":-.5}",
    "{\"a\":+1}",
    "{\"a\":1e}",
    "{\"a\":1e+}",
    "{\"a\":0x10}",
    "{\"a\":1-2}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":tru}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":\"x\",\"b\":1,\"a\":\"y\"}",
    "{\"o\":{\"a\":1,\"a\":2}}",
    "{\"o\":[{\"a\":1,\"a\":2}]}",
    "{\"a\":1,\"\\u0061\":2}", // the same name, spelt differently
    "{\"a\":[[[[[[[[1]]]]]]]]}",
    "{\"a\":1}//",
    "{\"a\":/**/1}",
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (parse(good[i]) != JSON_OK)
            fail_msg("refused: %s", good[i]);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i]) != JSON_MALFORMED)
            fail_msg("taken: %s", bad[i]);
    }
    assert_int_equal(parse_bytes("{}\0", 3), JSON_MALFORMED);
    assert_int_equal(parse_bytes("{\"a\":\"x\0y\"}", 11), JSON_MALFORMED);
}

// Every beginning of a valid body is refused, and none is read past its end.
static void test_truncated(void **state)
{
    (void)state;
    static const char whole[] = "{\"a\":\"\\ud83d\\udc26\\n\",\"b\":[1.5e+3,true,null],\"c\":{\"d\":\"\xc3\xa4\"}}";
    for (size_t n = 0; n < sizeof whole - 1; n++)
        assert_int_equal(parse_bytes(whole, n), JSON_MALFORMED);
    assert_int_equal(parse_bytes(whole, sizeof whole - 1), JSON_OK);
}

// The deepest nesting that is taken, and one more.
static void test_depth(void **state)
{
    (void)state;
    char text[64];
    int deepest = 0;
    for (int depth = 1; depth < 20; depth++) {
        char *at = text;
        memcpy(at, "{\"a\":", 5);
        at += 5;
        for (int i = 1; i < depth; i++)
            *at++ = '[';
        *at++ = '1';
        for (int i = 1; i < depth; i++)
            *at++ = ']';
        memcpy(at, "}", 2);
        if (parse(text) == JSON_OK) {
            assert_int_equal(deepest, depth - 1); // no gap
            deepest = depth;
        }
    }
    assert_int_equal(deepest, 8);
}

static void test_largest_body(void **state)
{
    (void)state;
    static char text[HTTP_BODY + 1];
    memset(text, 'x', HTTP_BODY);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + HTTP_BODY - 2, "\"}", 2);
    assert_int_equal(parse(text), JSON_OK);
    struct span value = {0};
    assert_int_equal(json_string("a", &value), JSON_OK);
    assert_int_equal(value.length, HTTP_BODY - 8);
    assert_true(json_high_water() >= HTTP_BODY && json_high_water() <= JSON_ARENA);
}

static void test_too_many_values(void **state)
{
    (void)state;
    static char text[HTTP_BODY + 1];
    memset(text, 0, sizeof text);
    strcpy(text, "{\"a\":[0");
    for (size_t n = strlen(text); n + 4 < HTTP_BODY; n += 2)
        memcpy(text + n, ",0", 2);
    strcat(text, "]}");
    assert_int_equal(parse(text), JSON_TOO_MANY);
    struct span value = {0};
    assert_int_equal(json_string("a", &value), JSON_MISSING);
    assert_int_equal(parse("{\"a\":\"b\"}"), JSON_OK); // the arena is whole again
    assert_field("a", "b");
}

static void test_arena(void **state)
{
    (void)state;
    json_forget();
    char *first = json_arena_malloc(10);
    assert_non_null(first);
    assert_int_equal((uintptr_t)first % 8, 0);
    char *second = json_arena_malloc(3);
    assert_ptr_equal(second, first + 16);
    assert_null(json_arena_realloc(first, 20)); // not the newest
    assert_ptr_equal(json_arena_realloc(second, 100), second);
    json_arena_free(second);
    assert_ptr_equal(json_arena_malloc(8), second);
    json_arena_free(NULL);
    assert_null(json_arena_malloc(SIZE_MAX));
    assert_null(json_arena_malloc(JSON_ARENA));
    assert_null(json_arena_realloc(NULL, JSON_ARENA));
    json_forget();
    assert_non_null(json_arena_malloc(JSON_ARENA));
    json_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_nothing_after_failure),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_largest_body),
        cmocka_unit_test(test_too_many_values),
        cmocka_unit_test(test_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
