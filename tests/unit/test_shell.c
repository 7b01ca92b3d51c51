// The console's shell: commands, answers that take their turns, questions, pasted texts.
#include "../../app/config.h"
#include "../../app/limits.h"
#include "../../app/line.h"
#include "../../app/shell.h"
#include "../../app/shell_private.h"
#include "../../port/log.h"
#include "../../services/hub/hub.h"
#include "../../services/mail/mail.h"
#include "machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int begin(void **state)
{
    (void)state;
    config_defaults();
    log_modules_follow();
    machine_console_is_terminal = false;
    machine_reboot = NULL;
    shell_start();
    machine_console_clear();
    return 0;
}

static void turns(unsigned most)
{
    while (shell_step() && most > 0)
        most--;
    assert_true(most > 0);
}

// What is said to these lines.
static const char *typed(const char *lines)
{
    machine_console_clear();
    machine_type(lines);
    turns(1000);
    return machine_console;
}

static bool says(const char *lines, const char *sentence)
{
    bool found = strstr(typed(lines), sentence) != NULL;
    if (!found)
        print_error("%s", machine_console);
    return found;
}

/// Commands ///

static void every_command_has_its_line_of_help(void **state)
{
    (void)state;
    const char *help = typed("help\n");
    for (size_t i = 0; i < shell_command_count; i++) {
        const struct shell_command *c = &shell_commands[i];
        char line[120];
        struct text t = text_in(line, sizeof line);
        text_format(&t, "  %s%s%s - %s\n", c->name, c->arguments[0] == '\0' ? "" : " ", c->arguments, c->help);
        assert_non_null(strstr(help, text_end(&t)));
        assert_true(strlen(c->help) > 5 && c->run != NULL);
    }
    assert_true(says("HeLp\n", "  help - this list\n"));
    assert_true(says("nonsense x\n", "There is no command nonsense; try help.\n"));
    assert_true(says("\x1b[2Jx\n", "There is no command [2Jx; try help.\n"));
    assert_string_equal(typed("\n  \n"), "");
}

static void settings_are_set_and_shown(void **state)
{
    (void)state;
    assert_string_equal(typed("set ws.ping 40\n"), "");
    assert_int_equal(hub_settings.ping, 40);
    assert_true(says("get ws.ping\n", "ws.ping = 40 (1 to 3600; default 25)\n"));
    assert_true(says("set ws.ping 0\n", "ws.ping must be a number from 1 to 3600.\n"));
    assert_true(says("set ws.pin 1\n", "did you mean ws.ping?"));
    assert_string_equal(typed("unset ws.ping\n"), "");
    assert_true(says("get ws.ping\n", "ws.ping = 25 (1 to 3600; the default)\n"));
    assert_true(says("get ws.pong\n", "There is no key ws.pong"));
    assert_true(says("unset ws.pong\n", "There is no key ws.pong"));
    assert_true(says("set mail.subject a  b \n get mail.subject\n", "mail.subject = a  b (text; default Your"));
}

static void config_shows_all_or_those_that_begin_so(void **state)
{
    (void)state;
    unsigned lines = 0, keys = 0;
    for (const char *at = typed("config\n"); (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    while (config_name(keys) != NULL)
        keys++;
    assert_int_equal(lines, keys);
    assert_string_equal(typed("config ws\n"),
                        "ws.ping = 25 (1 to 3600; the default)\nws.stall = 30 (1 to 3600; the default)\n");
    assert_true(says("config xyz\n", "No key begins with xyz.\n"));
}

static void a_secret_is_set_and_not_shown(void **state)
{
    (void)state;
    assert_string_equal(typed("set mail.password sesame\n"), "");
    assert_string_equal(mail_settings.password, "sesame");
    assert_true(says("get mail.password\n", "mail.password = (set) (secret text; default empty)\n"));
    assert_null(strstr(typed("config\n"), "sesame"));
}

static void what_shows_the_machine(void **state)
{
    (void)state;
    assert_true(says("status\n", "longest turn"));
    assert_true(says("net\n", "gateway "));
    assert_true(says("net\n", "kind=\"ws\" 0"));
    assert_true(says("top\n", "\nframes: "));
    assert_true(says("top\n", "\nhub: 0.0 % now, 0.0 % in all, longest step 0 us\n"));
    assert_true(says("users\n", "0 users\n"));
    assert_true(says("who\n", "0 online\n"));
    assert_true(says("kick nobody\n", "Nobody called nobody is online.\n"));
    assert_true(says("mail test\n", "mail test ADDRESS"));
    assert_true(says("mail test a@example.com\n", "set mail.host first"));
    assert_true(says("pools\n", " bytes a slot\n") || machine_console[0] == '\0');
}

static void levels_of_the_log(void **state)
{
    (void)state;
    assert_string_equal(typed("log\n"), "log.level = info\n");
    assert_string_equal(typed("log debug mail\nlog\n"), "log.level = info\nmail: debug\n");
    assert_string_equal(typed("log error\nlog\n"), "log.level = error\n");
    assert_int_equal(log_threshold, LOG_ERROR);
    assert_true(says("log 7\n", "The levels are"));
    assert_true(says("log info everything\n", "There is no module everything"));
    assert_string_equal(typed("set log.host 10.0.2.2\nlog\n"),
                        "log.level = error\nsyslog: 0 sent to 10.0.2.2, 0 dropped\n");
}

/// Turns ///

static bool next_number(uint32_t *at)
{
    if (*at == 5)
        return false;
    say("%u", (unsigned)(*at)++);
    return true;
}

static void a_long_answer_takes_a_turn_for_each_line(void **state)
{
    (void)state;
    shell_go_on(next_number);
    machine_type("nonsense\n");
    static const char *const wanted[] = {"0\n", "0\n1\n", "0\n1\n2\n", "0\n1\n2\n3\n", "0\n1\n2\n3\n4\n"};
    for (size_t i = 0; i < 5; i++) {
        assert_true(shell_step());
        assert_string_equal(machine_console, wanted[i]);
    }
    assert_false(shell_step());
    assert_non_null(strstr(machine_console, "4\nThere is no command nonsense"));
    assert_false(shell_step());
}

static void much_typing_takes_turns_too(void **state)
{
    (void)state;
    char lines[200];
    memset(lines, '\n', sizeof lines - 1);
    lines[sizeof lines - 1] = '\0';
    machine_type(lines);
    unsigned count = 1;
    while (shell_step())
        count++;
    assert_int_equal(count, 4);
}

/// Questions, and texts of many lines ///

static char taken[10][100];
static unsigned taken_count;
static bool ended;

static bool take_until_end(struct span line)
{
    if (line.at == NULL) {
        ended = true;
        return true; // does not count
    }
    assert_true(taken_count < 10 && line.length < sizeof taken[0]);
    memcpy(taken[taken_count], line.at, line.length);
    taken[taken_count++][line.length] = '\0';
    return !span_equal(line, span_of("-----END-----"));
}

static void a_pasted_text_goes_to_its_own_function(void **state)
{
    (void)state;
    taken_count = 0;
    shell_ask(take_until_end, true);
    typed("-----BEGIN-----\r\nhelp\r\n\r\n  MIIB \r\n-----END-----\r\nget ws.ping\r\n");
    assert_int_equal(taken_count, 5);
    assert_string_equal(taken[1], "help");
    assert_string_equal(taken[2], "");
    assert_string_equal(taken[3], "  MIIB ");
    assert_non_null(strstr(machine_console, "ws.ping = 25"));
}

static void a_secret_text_is_stars_and_in_no_history(void **state)
{
    (void)state;
    machine_console_is_terminal = true;
    taken_count = 0;
    typed("get ws.ping\r");
    shell_ask(take_until_end, true);
    const char *shown = typed("open sesame\r-----END-----\r");
    assert_non_null(strstr(shown, "***********\n"));
    assert_null(strstr(shown, "sesame"));
    assert_non_null(strstr(typed("\x1b[A"), "get ws.ping"));
    typed("\x03");
}

static void control_c_ends_it(void **state)
{
    (void)state;
    machine_console_is_terminal = true;
    taken_count = 0;
    ended = false;
    shell_ask(take_until_end, false);
    typed("one\r\x03");
    assert_int_equal(taken_count, 1);
    assert_true(ended);
    assert_true(says("get ws.ping\r", "ws.ping = 25"));
}

static jmp_buf rebooted;
static char reboot_reason[60];

static void on_reboot(const char *reason)
{
    strcpy(reboot_reason, reason);
    longjmp(rebooted, 1);
}

// Whether the machine starts anew at these lines.
static bool reboots(const char *lines)
{
    machine_reboot = on_reboot;
    if (setjmp(rebooted) != 0) {
        line_clear();
        return true;
    }
    typed(lines);
    return false;
}

static void a_reset_wants_a_yes(void **state)
{
    (void)state;
    assert_false(reboots("factory-reset\n\n"));
    assert_false(reboots("factory-reset\nyess\n"));
    assert_false(reboots("factory-reset\nfactory-reset\n"));
    assert_false(reboots("yes\n"));
    assert_true(reboots("factory-reset\n YES \n"));
    assert_string_equal(reboot_reason, "factory reset");
    assert_true(reboots("reboot\n"));
    assert_string_equal(reboot_reason, "asked for at the console");
}

/// On a terminal ///

static bool screen_has(const char *keys, const char *wanted)
{
    bool found = says(keys, wanted);
    typed("\x15\r");
    return found;
}

static void tab_completes_commands_keys_levels_and_modules(void **state)
{
    (void)state;
    machine_console_is_terminal = true;
    assert_true(screen_has("fac\t", "factory-reset "));
    assert_true(screen_has("get ws.s\t", "get ws.stall "));
    assert_true(screen_has("set  ws.s\t", "set  ws.stall "));
    assert_true(screen_has("unset log.h\t", "unset log.host "));
    assert_true(screen_has("config mail.pa\t", "config mail.password "));
    assert_true(screen_has("log w\t", "log warning "));
    assert_true(screen_has("log debug verif\t", "log debug verify "));
    assert_true(screen_has("u\t", "users  unset  \n"));
}

static void history_keeps_no_secret(void **state)
{
    (void)state;
    machine_console_is_terminal = true;
    typed("get ws.ping\r");
    assert_null(strstr(typed("set rpc.secret sesame\r"), "sesame"));
    assert_null(strstr(typed("  SET   rpc.secret   sesame\r"), "sesame"));
    typed("set rpc.sekret sesame\r");
    assert_non_null(strstr(typed("\x1b[A"), "get ws.ping"));
    typed("\x15\r");
    // It was on the screen and in the history when it was the command that was misspelt, or left out.
    assert_null(strstr(typed("sett rpc.secret sesame\r"), "sesame"));
    assert_null(strstr(typed("rpc.secret sesame\r"), "sesame"));
    assert_null(strstr(typed("rpc.secret = sesame\r"), "sesame"));
    assert_non_null(strstr(typed("\x1b[A"), "get ws.ping"));
    typed("\x15\r");
}

static void a_log_line_does_not_tear_what_is_typed(void **state)
{
    (void)state;
    machine_console_is_terminal = true;
    typed("get ws.p");
    machine_console_clear();
    log_line(LOG_INFO, "hub", "in between");
    assert_true(shell_is_stale());
    assert_true(strncmp(machine_console, "\r\x1b[K", 4) == 0);
    shell_step();
    assert_non_null(strstr(machine_console, "in between\n\rget ws.p"));
    assert_false(shell_is_stale());
    assert_true(says("ing\r", "ws.ping = 25"));
}

#define TEST(NAME) cmocka_unit_test_setup(NAME, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_command_has_its_line_of_help),
        TEST(settings_are_set_and_shown),
        TEST(config_shows_all_or_those_that_begin_so),
        TEST(a_secret_is_set_and_not_shown),
        TEST(what_shows_the_machine),
        TEST(levels_of_the_log),
        TEST(a_long_answer_takes_a_turn_for_each_line),
        TEST(much_typing_takes_turns_too),
        TEST(a_pasted_text_goes_to_its_own_function),
        TEST(a_secret_text_is_stars_and_in_no_history),
        TEST(control_c_ends_it),
        TEST(a_reset_wants_a_yes),
        TEST(tab_completes_commands_keys_levels_and_modules),
        TEST(history_keeps_no_secret),
        TEST(a_log_line_does_not_tear_what_is_typed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
