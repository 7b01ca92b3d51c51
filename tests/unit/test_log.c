// Log lines: one call, one line, never longer than its bound.
#include "../../port/log.h"
#include "machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int quiet_console(void **state)
{
    (void)state;
    machine_console_clear();
    machine_now_ms = 12345;
    log_threshold = LOG_INFO;
    return 0;
}

static void a_line_has_time_level_module_and_text(void **state)
{
    (void)state;
    log_line(LOG_INFO, "hub", "%s joined, %u in all", "alice", 3u);
    assert_string_equal(machine_console, "12.345 info  hub: alice joined, 3 in all\n");
}

static void milliseconds_have_three_digits(void **state)
{
    (void)state;
    machine_now_ms = 7;
    log_line(LOG_ERROR, "net", "x");
    assert_string_equal(machine_console, "0.007 error net: x\n");
}

static void lines_above_the_threshold_are_dropped(void **state)
{
    (void)state;
    log_line(LOG_DEBUG, "hub", "not seen");
    assert_string_equal(machine_console, "");
    log_threshold = LOG_DEBUG;
    log_line(LOG_DEBUG, "hub", "seen");
    assert_string_equal(machine_console, "12.345 debug hub: seen\n");
}

static void errors_pass_every_threshold(void **state)
{
    (void)state;
    log_threshold = LOG_ERROR;
    log_line(LOG_WARNING, "hub", "not seen");
    log_line(LOG_INFO, "hub", "not seen");
    log_line(LOG_ERROR, "hub", "seen");
    assert_string_equal(machine_console, "12.345 error hub: seen\n");
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    (void)state;
    char word[600];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    log_line(LOG_WARNING, "hub", "%s", word);
    size_t length = strlen(machine_console);
    assert_int_equal(length, 200);
    assert_int_equal(machine_console[length - 1], '\n');
    assert_int_equal(machine_console[length - 2], 'x');
    log_line(LOG_WARNING, "hub", "next");
    assert_string_equal(machine_console + length, "12.345 warn  hub: next\n");
}

static void time_goes_on_past_32_bits(void **state)
{
    (void)state;
    machine_now_ms = 5000000000123u;
    log_line(LOG_INFO, "net", "old");
    assert_non_null(strstr(machine_console, ".123 info  net: old\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_time_level_module_and_text, quiet_console),
        cmocka_unit_test_setup(milliseconds_have_three_digits, quiet_console),
        cmocka_unit_test_setup(lines_above_the_threshold_are_dropped, quiet_console),
        cmocka_unit_test_setup(errors_pass_every_threshold, quiet_console),
        cmocka_unit_test_setup(a_long_line_is_cut_and_still_ends, quiet_console),
        cmocka_unit_test_setup(time_goes_on_past_32_bits, quiet_console),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
