// Shares of the time: of an interval, and of all of it.
#include "../../app/share.h"
#include "machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void shares_of_an_interval_and_in_all(void **state)
{
    (void)state;
    struct share *s = &share_phases[SHARE_TIMERS];
    machine_now_ms = 0;
    share_begin();
    assert_int_equal(share_now(s), 0); // nothing has passed
    assert_int_equal(share_in_all(s), 0);
    machine_now_ms = 2000;
    s->us = 500000;
    assert_int_equal(share_interval_ms(), 2000);
    assert_int_equal(share_now(s), 250);
    assert_int_equal(share_in_all(s), 250);
    share_begin();
    machine_now_ms = 4000;
    assert_int_equal(share_interval_ms(), 2000);
    assert_int_equal(share_now(s), 0);
    assert_int_equal(share_in_all(s), 125);
    s->us = 2000000;
    assert_int_equal(share_now(s), 1000);
    assert_int_equal(share_in_all(s), 625);
}

static void a_month_and_a_full_interval_do_not_wrap(void **state)
{
    (void)state;
    struct share *s = &share_services[0];
    machine_now_ms = 2600000000u; // 30 days
    share_begin();
    s->ms = 1300000000u;
    s->us = SHARE_MOST_US;
    machine_now_ms += 4 * (uint64_t)SHARE_MOST_US / 1000;
    assert_in_range(share_now(s), 249, 250);
    assert_in_range(share_in_all(s), 498, 500);
    share_begin();
    assert_int_equal(s->us, 0);
    assert_int_equal(s->ms, 1300000000u + SHARE_MOST_US / 1000);
}

// After 2^32 ms, which are 49 days and 17 hours, the time since the start began anew and a part had thousands of
// percents of it.
static void the_fiftieth_day_is_the_last_of_fifty(void **state)
{
    (void)state;
    struct share *s = &share_services[0];
    machine_now_ms = (1ull << 32) + 100000;
    share_begin();
    s->ms = 1u << 31;
    machine_now_ms += 2000;
    s->us = 1000000;
    assert_int_equal(share_interval_ms(), 2000);
    assert_int_equal(share_all_ms() / 1000, ((1ull << 32) + 102000) / 1000);
    assert_int_equal(share_now(s), 500);
    assert_in_range(share_in_all(s), 499, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_of_an_interval_and_in_all),
        cmocka_unit_test(a_month_and_a_full_interval_do_not_wrap),
        cmocka_unit_test(the_fiftieth_day_is_the_last_of_fifty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
