// The table of codes: who may ask, which code is good, and until when.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../services/verify/codes.h"

static struct codes codes;
static uint64_t now;
static uint32_t retry_after;

static enum codes_error ask(const char *email)
{
    return codes_ask(&codes, span_of(email), now, &retry_after);
}

static enum codes_error put(const char *email, const char *code)
{
    return codes_put(&codes, span_of(email), span_of(code), now);
}

static enum codes_error check(const char *email, const char *code)
{
    return codes_check(&codes, span_of(email), span_of(code), now);
}

static int fresh(void **state)
{
    (void)state;
    memset(&codes, 0, sizeof codes);
    codes_settings = (struct codes_settings){.ttl = 180, .tries = 5, .cooldown = 60};
    now = 5;
    retry_after = 0;
    return 0;
}

static void asked_and_used(void **state)
{
    (void)state;
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
    assert_int_equal(ask("a@b"), CODES_OK);
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
    assert_int_equal(put("a@b", "123456"), CODES_OK);
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    codes_use(&codes, span_of("a@b"), now);
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
    codes_use(&codes, span_of("a@b"), now);
    codes_use(&codes, span_of("never@b"), now);
}

static void case_of_the_email(void **state)
{
    (void)state;
    put("Alice@Example.ORG", "123456");
    assert_int_equal(check("aLICE@eXAMPLE.org", "123456"), CODES_OK);
    assert_int_equal(check("alice@example.orh", "123456"), CODES_GONE);
    assert_int_equal(check("alice@example.or", "123456"), CODES_GONE);
    put("\xC3\x84@b", "222222");
    assert_int_equal(check("\xC3\xA4@b", "222222"), CODES_GONE);
}

static void cooldown(void **state)
{
    (void)state;
    assert_int_equal(ask("a@b"), CODES_OK);
    assert_int_equal(ask("A@b"), CODES_TOO_SOON);
    assert_int_equal(retry_after, 60);
    assert_int_equal(ask("c@b"), CODES_OK);
    now += 1;
    assert_int_equal(ask("a@b"), CODES_TOO_SOON);
    assert_int_equal(retry_after, 60);
    now += 999;
    assert_int_equal(ask("a@b"), CODES_TOO_SOON);
    assert_int_equal(retry_after, 59);
    now += 58999;
    assert_int_equal(ask("a@b"), CODES_TOO_SOON);
    assert_int_equal(retry_after, 1);
    now += 1;
    assert_int_equal(ask("a@b"), CODES_OK);
    assert_int_equal(ask("a@b"), CODES_TOO_SOON);
}

static void no_cooldown(void **state)
{
    (void)state;
    codes_settings.cooldown = 0;
    for (int i = 0; i < 2 * CODES_MAX; i++)
        assert_int_equal(ask("a@b"), CODES_OK);
    assert_int_equal(codes_count(&codes, now), 0);
    assert_int_equal(put("a@b", "123456"), CODES_OK);
    assert_int_equal(ask("a@b"), CODES_OK);
    assert_int_equal(check("a@b", "123456"), CODES_OK);
}

// The clock's first minute is no cooldown, and a new setting holds at once.
static void cooldown_setting(void **state)
{
    (void)state;
    now = 0;
    assert_int_equal(ask("a@b"), CODES_OK);
    codes_settings.cooldown = 86400;
    now = 60000;
    assert_int_equal(ask("a@b"), CODES_TOO_SOON);
    assert_int_equal(retry_after, 86340);
    codes_settings.cooldown = 10;
    assert_int_equal(ask("a@b"), CODES_OK);
}

static void lifetime(void **state)
{
    (void)state;
    put("a@b", "123456");
    now += 179999;
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    now += 1;
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
}

// The time of a code starts when it arrives, not when it was asked for.
static void lifetime_of_a_late_code(void **state)
{
    (void)state;
    ask("a@b");
    now += 15000;
    put("a@b", "123456");
    now += 179999;
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    now += 1;
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
}

static void replaced(void **state)
{
    (void)state;
    ask("a@b");
    put("a@b", "111111");
    now += 60000;
    assert_int_equal(ask("a@b"), CODES_OK);
    assert_int_equal(check("a@b", "111111"), CODES_OK);
    put("a@b", "222222");
    assert_int_equal(check("a@b", "111111"), CODES_WRONG);
    assert_int_equal(check("a@b", "222222"), CODES_OK);
    assert_int_equal(codes_count(&codes, now), 1);
}

static void five_tries(void **state)
{
    (void)state;
    put("a@b", "123456");
    for (int i = 0; i < 4; i++)
        assert_int_equal(check("a@b", "654321"), CODES_WRONG);
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    assert_int_equal(check("a@b", "654321"), CODES_WRONG);
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
    assert_int_equal(check("a@b", "654321"), CODES_GONE);
    put("a@b", "333333");
    for (int i = 0; i < 4; i++)
        assert_int_equal(check("a@b", "654321"), CODES_WRONG);
    assert_int_equal(check("a@b", "333333"), CODES_OK);
}

// A code that replaces another starts with no wrong tries, whether the old one was alive or had used its own up.
static void tries_of_a_new_code(void **state)
{
    (void)state;
    ask("a@b");
    put("a@b", "111111");
    for (int wrong = 4; wrong <= 5; wrong++) {
        for (int i = 0; i < wrong; i++)
            assert_int_equal(check("a@b", "654321"), CODES_WRONG);
        put("a@b", "222222");
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(check("a@b", "654321"), CODES_WRONG);
    assert_int_equal(check("a@b", "222222"), CODES_OK);
}

static void tries_setting(void **state)
{
    (void)state;
    codes_settings.tries = 1000;
    put("a@b", "123456");
    for (int i = 0; i < 999; i++)
        assert_int_equal(check("a@b", "000000"), CODES_WRONG);
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    assert_int_equal(check("a@b", "000000"), CODES_WRONG);
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
    codes_settings.tries = 1;
    put("a@b", "123456");
    assert_int_equal(check("a@b", "000000"), CODES_WRONG);
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
}

static void odd_codes(void **state)
{
    (void)state;
    codes_settings.tries = 100;
    put("a@b", "123456");
    static const char *const wrong[] = {"",       "1",       "12345",   "1234567", "023456",
                                        "123450", "123 456", " 123456", "12345\n", "abcdef"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(check("a@b", wrong[i]), CODES_WRONG);
    assert_int_equal(codes_check(&codes, span_of("a@b"), (struct span){NULL, 0}, now), CODES_WRONG);
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    assert_int_equal(put("c@b", "12345678901234567"), CODES_WRONG);
    assert_int_equal(put("a@b", ""), CODES_WRONG);
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    assert_int_equal(codes_count(&codes, now), 1);
}

// A foreign verify service's: the original's are four characters of a UUID.
static void foreign_codes(void **state)
{
    (void)state;
    static const char *const good[] = {"7", "9f3c", "\xC3\xA4-x", "1234567890123456"};
    codes_settings.tries = 100;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char longer[CODE_MAX_BYTES + 2] = "";
        size_t length = strlen(good[i]);
        memcpy(longer, good[i], length);
        longer[length] = '0';
        assert_int_equal(put("a@b", good[i]), CODES_OK);
        assert_int_equal(check("a@b", good[i]), CODES_OK);
        assert_int_equal(check("a@b", longer), CODES_WRONG);
        assert_int_equal(codes_check(&codes, span_of("a@b"), (struct span){good[i], length - 1}, now), CODES_WRONG);
        assert_int_equal(check("a@b", ""), CODES_WRONG);
    }
    assert_int_equal(check("a@b", "9F3C"), CODES_WRONG);
}

// A short code that replaces a long one keeps nothing of it: neither in the comparison nor in memory.
static void shorter_than_before(void **state)
{
    (void)state;
    static const char zeroes[CODE_MAX_BYTES] = {0};
    put("a@b", "1234567890123456");
    put("a@b", "12");
    assert_int_equal(check("a@b", "1234567890123456"), CODES_WRONG);
    assert_int_equal(check("a@b", "12"), CODES_OK);
    for (size_t i = 0; i < CODES_MAX; i++)
        assert_memory_equal(codes.entries[i].code + 2, zeroes, CODE_MAX_BYTES - 2);
    codes_use(&codes, span_of("a@b"), now);
    for (size_t i = 0; i < CODES_MAX; i++)
        assert_memory_equal(codes.entries[i].code, zeroes, CODE_MAX_BYTES);
}

static void withdrawn(void **state)
{
    (void)state;
    ask("a@b");
    codes_withdraw(&codes, span_of("a@b"), now);
    assert_int_equal(codes_count(&codes, now), 0);
    assert_int_equal(ask("a@b"), CODES_OK);
    codes_withdraw(&codes, span_of("never@b"), now);
    put("a@b", "123456");
    now += 60000;
    ask("a@b");
    codes_withdraw(&codes, span_of("a@b"), now);
    assert_int_equal(check("a@b", "123456"), CODES_OK);
    assert_int_equal(ask("a@b"), CODES_OK);
}

// The cooldown outlives the code that did its work.
static void used_within_the_cooldown(void **state)
{
    (void)state;
    ask("a@b");
    put("a@b", "123456");
    codes_use(&codes, span_of("a@b"), now);
    assert_int_equal(ask("a@b"), CODES_TOO_SOON);
    assert_int_equal(codes_count(&codes, now), 1);
    now += 60000;
    assert_int_equal(codes_count(&codes, now), 0);
}

static void number(char email[16], int i)
{
    memcpy(email, "0000@b", 7);
    for (int at = 3; at >= 0; at--, i /= 10)
        email[at] = (char)('0' + i % 10);
}

static void full(void **state)
{
    (void)state;
    char email[16];
    for (int i = 0; i < CODES_MAX; i++) {
        number(email, i);
        assert_int_equal(ask(email), CODES_OK);
    }
    assert_int_equal(codes_count(&codes, now), CODES_MAX);
    assert_int_equal(ask("one@more"), CODES_FULL);
    assert_int_equal(put("one@more", "123456"), CODES_FULL);
    assert_int_equal(ask(email), CODES_TOO_SOON);
    assert_int_equal(put(email, "123456"), CODES_OK);
    assert_int_equal(check(email, "123456"), CODES_OK);
    now += 60000;
    assert_int_equal(codes_count(&codes, now), 1);
    assert_int_equal(ask("one@more"), CODES_OK);
    now += 120000;
    assert_int_equal(codes_count(&codes, now), 0);
}

// A free entry keeps neither the code nor the wrong tries of the email before.
static void entries_start_clean(void **state)
{
    (void)state;
    char email[16];
    put("a@b", "123456");
    check("a@b", "000000");
    now += 180000;
    assert_int_equal(check("a@b", "123456"), CODES_GONE);
    for (int i = 0; i < CODES_MAX; i++) {
        number(email, i);
        assert_int_equal(ask(email), CODES_OK);
        assert_int_equal(check(email, "123456"), CODES_GONE);
    }
    for (size_t i = 0; i < CODES_MAX; i++) {
        assert_memory_equal(codes.entries[i].code, "\0\0\0\0\0\0", CODE_DIGITS);
        assert_int_equal(codes.entries[i].code_length, 0);
        assert_int_equal(codes.entries[i].tries, 0);
    }
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(codes_settings.ttl, 180);
    assert_int_equal(codes_settings.tries, 5);
    assert_int_equal(codes_settings.cooldown, 60);
    assert_int_equal(codes_settings.echo, 0);
}

#define TEST(NAME) cmocka_unit_test_setup(NAME, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        TEST(asked_and_used),
        TEST(case_of_the_email),
        TEST(cooldown),
        TEST(no_cooldown),
        TEST(cooldown_setting),
        TEST(lifetime),
        TEST(lifetime_of_a_late_code),
        TEST(replaced),
        TEST(five_tries),
        TEST(tries_of_a_new_code),
        TEST(tries_setting),
        TEST(odd_codes),
        TEST(foreign_codes),
        TEST(shorter_than_before),
        TEST(withdrawn),
        TEST(used_within_the_cooldown),
        TEST(full),
        TEST(entries_start_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
