// Messages of calls: what nanopb reads, and what it would read only half.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../services/rpc/message.h"
#include <services/proto/message.pb.h>
#include <string.h>

static message_LoginReq login;

#define READ(BYTES) rpc_decode((struct span){BYTES, sizeof(BYTES) - 1}, message_LoginReq_fields, &login)

static void test_good(void **state)
{
    (void)state;
    assert_null(READ("\x08\x07\x12\x03"
                     "abc"));
    assert_int_equal(login.uid, 7);
    assert_string_equal(login.token, "abc");
    assert_null(READ(""));
    assert_null(READ("\x08\x00")); // zero bytes that are no text
    assert_null(READ("\x12\x00")); // an empty string
}

// Fields that are not ours may hold what they like.
static void test_unknown_fields(void **state)
{
    (void)state;
    assert_null(READ("\x7a\x03\0\0\0\x12\x01x"));
    assert_string_equal(login.token, "x");
    assert_null(READ("\x82\x02\x01\0\x12\x01y")); // field 32
    assert_null(READ("\x1d\0\0\0\0\x21\0\0\0\0\0\0\0\0"));
}

static void test_wrong(void **state)
{
    (void)state;
    assert_non_null(READ("\x12\x05"
                         "abc"));
    assert_non_null(READ("\x12\x02\xff\xfe"));
    assert_non_null(READ("\x0b"));
}

// nanopb ended the string at the NUL and called the message good: an email was then another one than the sender wrote.
static void test_nul(void **state)
{
    (void)state;
    assert_string_equal(READ("\x12\x03"
                             "a\0b"),
                        "a string with a NUL in it");
    assert_non_null(READ("\x12\x01\0"));
    assert_non_null(READ("\x12\x02"
                         "a\0"));
    assert_non_null(READ("\x12\x02"
                         "a\0\x12\x01z")); // and the last one of two is good
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
