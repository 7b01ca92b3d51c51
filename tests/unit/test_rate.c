#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../app/limits.h"
#include "../../services/gateway/rate.h"

static struct rate rate;

static int forget(void **state)
{
    (void)state;
    rate_reset(&rate, 60000);
    return 0;
}

// How many calls of `address` are taken at `now` before the first is refused.
static uint32_t burst(uint32_t address, uint32_t per_minute, uint64_t now, uint32_t *retry_after)
{
    uint32_t n = 0;
    while (rate_allow(&rate, address, per_minute, now, retry_after))
        n++;
    return n;
}

static void test_burst_and_refill(void **state)
{
    (void)state;
    uint32_t retry_after = 0;
    assert_int_equal(burst(1, 60, 1000, &retry_after), 60);
    assert_int_equal(retry_after, 1);
    assert_false(rate_allow(&rate, 1, 60, 1999, &retry_after));
    assert_true(rate_allow(&rate, 1, 60, 2000, &retry_after));
    assert_false(rate_allow(&rate, 1, 60, 2000, &retry_after));
    assert_int_equal(burst(1, 60, 2000 + 10000, &retry_after), 10);
    assert_int_equal(burst(1, 60, 2000 + 3600000, &retry_after), 60); // never more than a full bucket
}

static void test_retry_after_is_true(void **state)
{
    (void)state;
    static const uint32_t rates[] = {1, 2, 7, 59, 300, 1000000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        uint32_t retry_after = 0;
        uint64_t now = 5000;
        rate_reset(&rate, 60000);
        assert_int_equal(burst(9, rates[i], now, &retry_after), rates[i]);
        assert_in_range(retry_after, 1, 60);
        uint64_t later = now + (uint64_t)retry_after * 1000;
        if (retry_after > 1)
            assert_false(rate_allow(&rate, 9, rates[i], later - 1000, &retry_after));
        assert_true(rate_allow(&rate, 9, rates[i], later, &retry_after));
    }
}

static void test_refused_calls_cost_nothing(void **state)
{
    (void)state;
    uint32_t retry_after = 0;
    assert_int_equal(burst(1, 1, 1000, &retry_after), 1);
    for (uint64_t now = 1000; now < 61000; now += 500)
        assert_false(rate_allow(&rate, 1, 1, now, &retry_after));
    assert_true(rate_allow(&rate, 1, 1, 61000, &retry_after));
}

static void test_no_limit(void **state)
{
    (void)state;
    uint32_t retry_after = 77;
    for (int i = 0; i < 100000; i++)
        assert_true(rate_allow(&rate, 1, 0, 1000, &retry_after));
    assert_int_equal(retry_after, 77);
}

static void test_addresses_are_apart(void **state)
{
    (void)state;
    uint32_t retry_after = 0;
    assert_int_equal(burst(1, 5, 1000, &retry_after), 5);
    assert_int_equal(burst(2, 5, 1000, &retry_after), 5);
    assert_int_equal(burst(0, 5, 1000, &retry_after), 5);
    assert_false(rate_allow(&rate, 1, 5, 1000, &retry_after));
    assert_false(rate_allow(&rate, 0, 5, 1000, &retry_after));
}

static void test_oldest_makes_room(void **state)
{
    (void)state;
    uint32_t retry_after = 0;
    for (uint32_t i = 0; i < RATE_ADDRESSES; i++)
        assert_int_equal(burst(100 + i, 1, 1000 + i, &retry_after), 1);
    assert_false(rate_allow(&rate, 100, 1, 5000, &retry_after)); // 101 is the oldest now
    assert_true(rate_allow(&rate, 1, 1, 5001, &retry_after));
    assert_false(rate_allow(&rate, 100, 1, 5002, &retry_after));
    assert_true(rate_allow(&rate, 101, 1, 5003, &retry_after));  // was forgotten, and takes the place of 102
    assert_false(rate_allow(&rate, 103, 1, 5004, &retry_after)); // is remembered
}

static void test_rate_changes(void **state)
{
    (void)state;
    uint32_t retry_after = 0;
    assert_true(rate_allow(&rate, 1, 1000000, 1000, &retry_after));
    assert_int_equal(burst(1, 3, 1000, &retry_after), 3); // cut to the new bucket
    assert_false(rate_allow(&rate, 1, 1000000, 1000, &retry_after));
    assert_true(rate_allow(&rate, 1, 1000000, 1001, &retry_after));
}

static void test_far_clock(void **state)
{
    (void)state;
    uint32_t retry_after = 0;
    assert_int_equal(burst(1, 1000, 0, &retry_after), 1000);
    assert_false(rate_allow(&rate, 1, 1000, 0, &retry_after));
    assert_int_equal(burst(1, 1000, UINT64_MAX - 1, &retry_after), 1000);
    assert_false(rate_allow(&rate, 1, 1000, 5, &retry_after)); // a clock that goes back earns nothing
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_burst_and_refill, forget),
        cmocka_unit_test_setup(test_retry_after_is_true, forget),
        cmocka_unit_test_setup(test_refused_calls_cost_nothing, forget),
        cmocka_unit_test_setup(test_no_limit, forget),
        cmocka_unit_test_setup(test_addresses_are_apart, forget),
        cmocka_unit_test_setup(test_oldest_makes_room, forget),
        cmocka_unit_test_setup(test_rate_changes, forget),
        cmocka_unit_test_setup(test_far_clock, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
