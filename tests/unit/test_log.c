// Log lines: one call, one line, never longer than its bound.
#include "../../port/log.h"
#include "app/limits.h"
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
    machine_now_ms += 1000000; // whatever was counted before is forgotten
    log_poll();
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

static void control_characters_from_outside_are_escaped(void **state)
{
    (void)state;
    log_line(LOG_INFO, "hub", "%s joined, %.*s", "eve\n12.345 error main: fire\x1b[2J", 3, "\r\x7f\tX");
    assert_string_equal(machine_console,
                        "12.345 info  hub: eve\\x0a12.345 error main: fire\\x1b[2J joined, \\x0d\\x7f\\x09\n");
    machine_console_clear();
    // UTF-8 stays; its C1 controls do not, nor do such bytes alone, nor behind a character that is broken off.
    log_line(LOG_INFO, "hub", "%s", "\xc3\x9c \xf0\x9f\x98\x80 \xc2\x9b \xc2\xa0 \x9b \xc3(\x80 \xe2\x82\xac");
    assert_string_equal(machine_console, "12.345 info  hub: \xc3\x9c \xf0\x9f\x98\x80 \\xc2\\x9b \xc2\xa0 \\x9b "
                                         "\xc3(\\x80 \xe2\x82\xac\n");
}

static unsigned lines_with(const char *what)
{
    unsigned n = 0;
    for (const char *at = machine_console; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void a_module_that_talks_too_much_is_cut_short_and_it_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < LOG_BURST + 7; i++)
        log_line(LOG_INFO, "hub", "flood");
    log_line(LOG_INFO, "net", "others go on");
    assert_int_equal(lines_with("flood"), LOG_BURST);
    assert_int_equal(lines_with("others"), 1);
    machine_now_ms += 1000;
    log_poll();
    assert_int_equal(lines_with("left out"), 0); // it has used up all, so it may go on
    for (int i = 0; i < LOG_PER_SECOND + 3; i++)
        log_line(LOG_INFO, "hub", "flood");
    assert_int_equal(lines_with("flood"), LOG_BURST + LOG_PER_SECOND);
    machine_now_ms += 1000;
    log_poll();
    assert_int_equal(lines_with("left out"), 0);
    machine_now_ms += 1000;
    log_poll();
    assert_int_equal(lines_with(" warn  hub: 10 lines of hub left out\n"), 1);
    machine_now_ms += 5000;
    log_poll();
    assert_int_equal(lines_with("left out"), 1);
}

static void debug_lines_are_not_counted(void **state)
{
    (void)state;
    log_threshold = LOG_DEBUG;
    for (int i = 0; i < LOG_BURST + 7; i++)
        log_line(LOG_DEBUG, "hub", "flood");
    assert_int_equal(lines_with("flood"), LOG_BURST + 7);
}

static void one_module_may_have_a_level_of_its_own(void **state)
{
    (void)state;
    uint32_t hub = 0, other = 0;
    while (strcmp(log_module_name(hub), "hub") != 0)
        hub++;
    while (log_module_name(other + 1) != NULL)
        other++;
    log_module_set(hub, LOG_DEBUG);
    log_line(LOG_DEBUG, "hub", "seen");
    log_line(LOG_DEBUG, "net", "not seen");
    log_module_set(hub, LOG_ERROR);
    log_line(LOG_WARNING, "hub", "not seen");
    log_line(LOG_INFO, "net", "seen");
    assert_int_equal(log_module_level(hub), LOG_ERROR);
    log_modules_follow();
    log_line(LOG_INFO, "hub", "seen");
    log_module_set(other, LOG_DEBUG);
    log_line(LOG_DEBUG, "nobody", "seen");
    log_modules_follow();
    assert_int_equal(lines_with("not seen"), 0);
    assert_int_equal(lines_with("seen"), 4);
}

static unsigned hidden;

static void hide(void)
{
    hidden++;
}

static void the_line_that_is_typed_is_taken_away_first(void **state)
{
    (void)state;
    log_before_write = hide;
    log_line(LOG_INFO, "hub", "x");
    assert_int_equal(hidden, 1);
    log_before_write = NULL;
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
        cmocka_unit_test_setup(control_characters_from_outside_are_escaped, quiet_console),
        cmocka_unit_test_setup(a_module_that_talks_too_much_is_cut_short_and_it_is_told, quiet_console),
        cmocka_unit_test_setup(debug_lines_are_not_counted, quiet_console),
        cmocka_unit_test_setup(one_module_may_have_a_level_of_its_own, quiet_console),
        cmocka_unit_test_setup(the_line_that_is_typed_is_taken_away_first, quiet_console),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
