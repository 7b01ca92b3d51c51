// The trail keeps the last changes of state, the oldest first, and logs each as a debug line.
#include "../../port/log.h"
#include "../../port/trail.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_the_last_ones_are_kept_in_order(void **state)
{
    (void)state;
    assert_null(trail_entry(0));
    for (uint32_t i = 0; i < 3; i++)
        trail_change("net", "connection", i, "OPEN", "CLOSING");
    assert_int_equal(trail_entry(0)->number, 0);
    assert_int_equal(trail_entry(2)->number, 2);
    assert_null(trail_entry(3));
    for (uint32_t i = 3; i < TRAIL_LENGTH + 5; i++)
        trail_change("net", "connection", i, "OPEN", "CLOSING");
    assert_int_equal(trail_entry(0)->number, 5);
    assert_int_equal(trail_entry(TRAIL_LENGTH - 1)->number, TRAIL_LENGTH + 4);
    assert_null(trail_entry(TRAIL_LENGTH));
    assert_string_equal(trail_entry(0)->to, "CLOSING");
    assert_int_equal(trail_entry(0)->ms, machine_now_ms);
}

static void test_each_is_a_debug_line(void **state)
{
    (void)state;
    machine_console_clear();
    trail_change("mail", "letter", 7, "WAITING", "DONE");
    assert_string_equal(machine_console, "");
    log_threshold = LOG_DEBUG;
    trail_change("mail", "letter", 7, "WAITING", "DONE");
    assert_non_null(strstr(machine_console, "debug mail: letter 7: WAITING -> DONE\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_ones_are_kept_in_order),
        cmocka_unit_test(test_each_is_a_debug_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
