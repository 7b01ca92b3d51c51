// Wrong passwords and codes, and who has to wait for them: attackers with one address and with many, and the people
// whom they must not lock out.
#include "../../services/gateway/gateway.h"
#include "../../services/gateway/tries.h"
#include "../../services/users/users.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define HERE 0x0a000001u

static int fresh(void **state)
{
    (void)state;
    tries_reset();
    gateway_settings.login_tries = 5;
    gateway_settings.login_backoff = 2;
    machine_now_ms += 1000;
    return users_service.start();
}

static struct tries stranger(uint32_t address, const char *name)
{
    return tries_of_login(address, span_of(name), false);
}

static uint32_t wait_of(struct tries t)
{
    static const uint32_t none[TRIES_WAYS];
    return tries_wait(&t, none, machine_now_ms);
}

static void wrong(struct tries t)
{
    tries_wrong(&t, machine_now_ms);
}

// As an attacker does: waits as long as he is told, and is wrong. Returns how long that took, in seconds.
static uint64_t guess(struct tries t, int count)
{
    uint64_t began = machine_now_ms;
    while (count-- > 0) {
        machine_now_ms += (uint64_t)wait_of(t) * 1000;
        assert_int_equal(wait_of(t), 0); // what was said is true
        wrong(t);
    }
    return (machine_now_ms - began) / 1000;
}

static void waits_double(void **state)
{
    (void)state;
    static const uint32_t waits[] = {2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900};
    struct tries t = tries_of_login(HERE, span_of("alice"), true);
    for (int i = 0; i < 4; i++) {
        wrong(t);
        assert_int_equal(wait_of(t), 0);
    }
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        wrong(t);
        assert_int_equal(wait_of(t), waits[i]);
        machine_now_ms += waits[i] * 1000u - 1;
        assert_int_equal(wait_of(t), 1);
        machine_now_ms += 1;
        assert_int_equal(wait_of(t), 0);
    }
    for (int i = 0; i < 300; i++)
        wrong(t);
    assert_int_equal(wait_of(t), 900);
    assert_int_equal(wait_of(tries_of_login(HERE, span_of("ALICE"), true)), 900);
    assert_int_equal(wait_of(stranger(HERE + 1, "alice")), 0);
    assert_int_equal(wait_of(stranger(HERE, "alic")), 0);
    assert_int_equal(wait_of(tries_of_code(HERE, span_of("alice"))), 0);
    machine_now_ms += (900 + TRIES_PEACE) * 1000;
    wrong(t);
    assert_int_equal(wait_of(t), 0); // forgotten
}

static void what_is_right_clears_its_own_count(void **state)
{
    (void)state;
    struct tries t = stranger(HERE, "alice");
    for (int i = 0; i < 5; i++)
        wrong(t);
    assert_int_equal(wait_of(t), 2);
    machine_now_ms += 2000;
    tries_right(&t, machine_now_ms);
    for (int i = 0; i < 4; i++)
        wrong(t);
    assert_int_equal(wait_of(t), 0);
}

static void none_is_no_limit(void **state)
{
    (void)state;
    gateway_settings.login_tries = 0;
    struct tries t = stranger(HERE, "alice");
    for (int i = 0; i < 1000; i++)
        wrong(t);
    assert_int_equal(wait_of(t), 0);
}

// A thousand tries sent at once are not a thousand free ones.
static void tries_under_way_count(void **state)
{
    (void)state;
    struct tries t = stranger(HERE, "alice");
    for (uint32_t n = 0; n < 5; n++)
        assert_int_equal(tries_wait(&t, (const uint32_t[TRIES_WAYS]){n, n, n}, machine_now_ms), 0);
    assert_int_equal(tries_wait(&t, (const uint32_t[TRIES_WAYS]){5, 5, 5}, machine_now_ms), 1);
    for (int i = 0; i < 5; i++)
        wrong(t);
    machine_now_ms += 2000;
    assert_int_equal(wait_of(t), 0);
    assert_int_equal(tries_wait(&t, (const uint32_t[TRIES_WAYS]){1, 1, 1}, machine_now_ms), 1);
}

// Many addresses guess at one name without a pause. Its owner, where she was last, notices nothing; from anywhere else
// she waits no longer than the door takes. After her login the others are as slow as before.
static void many_addresses_at_one_name(void **state)
{
    (void)state;
    struct tries owner = tries_of_login(HERE, span_of("alice"), true), travelling = stranger(HERE + 1, "alice");
    for (uint32_t i = 0; i < 200; i++) {
        struct tries attacker = stranger(HERE + 100 + i, "alice");
        if (wait_of(attacker) == 0)
            wrong(attacker);
        assert_int_equal(wait_of(owner), 0);
        assert_true(wait_of(travelling) <= TRIES_CROWD_MOST);
    }
    assert_true(wait_of(travelling) > 0);
    tries_right(&owner, machine_now_ms);
    assert_true(wait_of(stranger(HERE + 999, "alice")) > 0);
    uint64_t took = 0;
    for (uint32_t i = 0; i < 100; i++)
        took += guess(stranger(HERE + 1000 + i, "alice"), 1);
    assert_in_range(took, 100 * TRIES_CROWD_MOST - 60, 100 * TRIES_CROWD_MOST);
    assert_int_equal(wait_of(owner), 0);
    assert_int_equal(wait_of(stranger(HERE + 1, "bob")), 0);
}

// Whoever tries one address's luck with ever new names can push his entry for the first name out, and then meets his
// address's own count: a thousand tries take as long as they take.
static void many_names_from_one_address(void **state)
{
    (void)state;
    uint64_t took = guess(stranger(HERE, "alice"), 9);
    for (uint32_t i = 0; i < 2 * TRIES_PAIRS + 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "name%u", i);
        took += guess(stranger(HERE, name), 1);
        if (i % 10 == 0)
            took += guess(stranger(HERE, "alice"), 1);
    }
    assert_true(took > 1000 * TRIES_CROWD_MOST * 9 / 10);
    assert_int_equal(wait_of(stranger(HERE + 1, "alice")), 0); // others are none the worse for it
    assert_int_equal(wait_of(tries_of_login(HERE, span_of("bob"), true)), 0);
    assert_int_equal(wait_of(tries_of_login(HERE + 1, span_of("bob"), true)), 0);
}

// A flood of names that nobody has, each tried once, does not take an entry away that has a higher count.
static void a_flood_leaves_the_higher_counts(void **state)
{
    (void)state;
    struct tries victim = stranger(HERE, "alice");
    for (int i = 0; i < 12; i++)
        wrong(victim);
    uint32_t before = wait_of(victim);
    assert_int_equal(before, 256);
    for (uint32_t i = 0; i < 3 * TRIES_PAIRS; i++) {
        char name[16];
        snprintf(name, sizeof name, "name%u", i);
        wrong(stranger(HERE + i, name));
    }
    assert_int_equal(wait_of(victim), before);
}

static void codes_have_a_count_of_their_own(void **state)
{
    (void)state;
    struct tries code = tries_of_code(HERE, span_of("a@example.org"));
    for (int i = 0; i < 5; i++)
        wrong(code);
    assert_int_equal(wait_of(code), 2);
    assert_int_equal(wait_of(stranger(HERE, "a@example.org")), 0);
    assert_int_equal(wait_of(tries_of_code(HERE + 1, span_of("A@example.org"))), 0);
}

// A name of any length, and none.
static void names_of_any_length(void **state)
{
    (void)state;
    char name[400];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = 'x';
    struct tries longest = tries_of_login(HERE, (struct span){name, sizeof name}, false);
    struct tries empty = tries_of_login(HERE, (struct span){NULL, 0}, false);
    for (int i = 0; i < 5; i++)
        wrong(longest);
    assert_int_equal(wait_of(longest), 2);
    assert_int_equal(wait_of(empty), 0);
}

#define TEST(NAME) cmocka_unit_test_setup(NAME, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(waits_double),
        TEST(what_is_right_clears_its_own_count),
        TEST(none_is_no_limit),
        TEST(tries_under_way_count),
        TEST(many_addresses_at_one_name),
        TEST(many_names_from_one_address),
        TEST(a_flood_leaves_the_higher_counts),
        TEST(codes_have_a_count_of_their_own),
        TEST(names_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
