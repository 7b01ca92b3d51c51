// The line editor, against a screen: a small VT100 that shows what a person would see.
#include "../../app/limits.h"
#include "../../app/line.h"
#include "machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/// What the line asks of its owner ///

static const char *const words[] = {"status", "say", "set", "get", "grüße"};
static const char *const keys[] = {"mail.host", "mail.port", "chat.rate"};
static size_t shown = SIZE_MAX;

size_t line_shown(struct span typed)
{
    return typed.length < shown ? typed.length : shown;
}

const char *line_candidate(struct span before, uint32_t index)
{
    if (before.length == 0)
        return index < sizeof words / sizeof words[0] ? words[index] : NULL;
    bool second = span_equal(before, span_of("set "));
    return second && index < sizeof keys / sizeof keys[0] ? keys[index] : NULL;
}

/// The screen: rows of characters of up to four bytes ///

#define ROWS    12
#define COLUMNS 100

static char screen[ROWS][COLUMNS][5];
static int row, column;

static void screen_clear(void)
{
    memset(screen, 0, sizeof screen);
    row = column = 0;
}

static const char *screen_control(const char *at)
{
    int number = atoi(at);
    at += strspn(at, "0123456789");
    if (*at == 'K')
        memset(screen[row][column], 0, (size_t)(COLUMNS - column) * sizeof screen[0][0]);
    else if (*at == 'D')
        column -= number;
    else if (*at == 'H')
        row = column = 0;
    else if (*at == 'J')
        screen_clear();
    else
        fail_msg("what is ESC [ %c?", *at);
    assert_in_range(column, 0, COLUMNS - 1);
    return at + 1;
}

static const char *screen_character(const char *at)
{
    size_t length = 1;
    while (((uint8_t)at[length] & 0xc0) == 0x80)
        length++;
    assert_true(length <= 4 && column < COLUMNS);
    memset(screen[row][column], 0, sizeof screen[0][0]);
    memcpy(screen[row][column++], at, length);
    return at + length;
}

// Shows what was written since the last call.
static void screen_update(void)
{
    const char *at = machine_console;
    while (*at != '\0') {
        if (at[0] == '\x1b') {
            assert_int_equal(at[1], '[');
            at = screen_control(at + 2);
        } else if (*at == '\n') {
            assert_true(row < ROWS - 1);
            row++;
            column = 0;
            at++;
        } else if (*at == '\r') {
            column = 0;
            at++;
        } else {
            assert_true((uint8_t)*at >= 0x20);
            at = screen_character(at);
        }
    }
    machine_console_clear();
}

static const char *screen_row(int which)
{
    static char text[COLUMNS * 4 + 1];
    text[0] = '\0';
    for (int i = 0; i < COLUMNS && screen[which][i][0] != '\0'; i++)
        strcat(text, screen[which][i]);
    return text;
}

/// Typing ///

static enum line_event last;

static void type_bytes(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((last = line_byte(bytes[i])) != LINE_TYPING)
            break;
    line_show();
    screen_update();
}

static void type(const char *bytes)
{
    type_bytes(bytes, strlen(bytes));
}

static void assert_text(const char *wanted)
{
    struct span text = line_text();
    assert_int_equal(text.length, strlen(wanted));
    assert_memory_equal(text.at, wanted, text.length);
}

// The text, the same on the screen's row, and the cursor in this column.
static void assert_line(const char *wanted, int at)
{
    assert_text(wanted);
    assert_string_equal(screen_row(row), wanted);
    assert_int_equal(column, at);
    assert_false(line_is_stale());
}

static void enter(const char *text)
{
    type(text);
    type("\r");
    assert_int_equal(last, LINE_DONE);
    line_remember();
    line_clear();
    screen_clear();
}

static int begin(void **state)
{
    (void)state;
    machine_console_is_terminal = true;
    machine_console_clear();
    screen_clear();
    line_clear();
    (void)line_byte('x'); // no line feed belongs to what was typed before
    line_clear();
    shown = SIZE_MAX;
    return 0;
}

/// Editing ///

#define LEFT   "\x1b[D"
#define RIGHT  "\x1b[C"
#define UP     "\x1b[A"
#define DOWN   "\x1b[B"
#define DELETE "\x1b[3~"

static void what_is_typed_is_seen(void **state)
{
    (void)state;
    for (const char *at = "who goes there"; *at != '\0'; at++)
        type_bytes(at, 1);
    assert_line("who goes there", 14);
    type("\r");
    assert_int_equal(last, LINE_DONE);
    assert_text("who goes there");
    assert_string_equal(screen_row(0), "who goes there");
    assert_int_equal(row, 1);
    assert_int_equal(column, 0);
    line_clear();
    assert_text("");
}

static void typing_at_the_end_costs_a_byte_each(void **state)
{
    (void)state;
    for (const char *at = "plain"; *at != '\0'; at++) {
        assert_int_equal(line_byte(*at), LINE_TYPING);
        line_show();
    }
    assert_string_equal(machine_console, "plain");
}

// Each key, from "one two|three" with the cursor at the mark.
static void every_key_does_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *text;
        int column;
    } cases[] = {
        {LEFT, "one twothree", 6},
        {RIGHT, "one twothree", 8},
        {"\x1b[H", "one twothree", 0},
        {"\x1b[1~", "one twothree", 0},
        {"\x1bOH", "one twothree", 0},
        {"\x1b[7~", "one twothree", 0},
        {"\x1b[F", "one twothree", 12},
        {"\x1b[4~", "one twothree", 12},
        {"\x1bOF", "one twothree", 12},
        {"\x01", "one twothree", 0},
        {"\x05", "one twothree", 12},
        {DELETE, "one twohree", 7},
        {"\x04", "one twohree", 7},
        {"\b", "one twthree", 6},
        {"\x7f", "one twthree", 6},
        {"\x0b", "one two", 7},
        {"\x15", "three", 0},
        {"\x17", "one three", 4},
        {"\x17\x17", "three", 0},
        {"X", "one twoXthree", 8},
        {"\x1b[1;5C", "one twothree", 8},
        {"\x1b[5~", "one twothree", 7},
        {"\x1b[15~", "one twothree", 7},
        {"\x1b[Z", "one twothree", 7},
        {"\x1b\x1b[D", "one twothree", 6},
        {"\x1bx", "one twothree", 7},
        {"\x1b[3\x01", "one twothree", 0},
        {"\x02\x06\x10", "one twothree", 7},
        {"\x1b[12;", "one twothree", 7},
        {"\x1b", "one twothree", 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(NULL);
        type("one twothree" LEFT LEFT LEFT LEFT LEFT);
        assert_line("one twothree", 7);
        type(cases[i].keys);
        assert_line(cases[i].text, cases[i].column);
    }
}

// The same keys end in the same line, however the bytes arrive.
static void every_byte_may_come_alone(void **state)
{
    (void)state;
    static const char all[] =
        "caf\xc3\xa9 \xf0\x9f\x98\x80!" LEFT LEFT DELETE "\x01" RIGHT "\x1b[1~" DELETE "C\x1b[F" LEFT "?";
    for (size_t cut = 0; cut < sizeof all; cut++) {
        begin(NULL);
        type_bytes(all, cut);
        type_bytes(all + cut, sizeof all - 1 - cut);
        assert_line("Caf\xc3\xa9 ?!", 6);
    }
    begin(NULL);
    for (size_t i = 0; i < sizeof all - 1; i++)
        type_bytes(all + i, 1);
    assert_line("Caf\xc3\xa9 ?!", 6);
}

static void at_the_ends_nothing_happens(void **state)
{
    (void)state;
    type("\b" LEFT RIGHT DELETE "\x17\x15\x0b" UP DOWN);
    assert_line("", 0);
    type("a" LEFT LEFT "\b" RIGHT RIGHT DELETE);
    assert_line("a", 1);
}

/// UTF-8 ///

static void a_character_is_one_step(void **state)
{
    (void)state;
    type("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z");
    assert_line("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z", 5);
    type(LEFT LEFT LEFT);
    assert_line("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z", 2);
    type("\b");
    assert_line("a\xe2\x82\xac\xf0\x9f\x98\x80z", 1);
    type(DELETE);
    assert_line("a\xf0\x9f\x98\x80z", 1);
}

static void half_a_character_is_not_shown(void **state)
{
    (void)state;
    type("ab" LEFT);
    type("\xe2\x82");
    assert_string_equal(screen_row(0), "ab");
    type("\xac");
    assert_line("a\xe2\x82\xac"
                "b",
                2);
}

static void what_is_not_utf8_is_dropped(void **state)
{
    (void)state;
    type("a\x80\xbf\xff\xc0\xc1\xf5z");
    assert_line("az", 2);
    type("\xe2\x82y\xc3" LEFT);
    assert_line("azy", 2);
    type("\x05\xf0\x9f\x98\r");
    assert_int_equal(last, LINE_DONE);
    assert_text("azy");
}

/// Longer than the screen, longer than the line ///

static void a_long_line_is_scrolled(void **state)
{
    (void)state;
    char text[SHELL_LINE];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    type_bytes(text, 150);
    assert_int_equal(column, 78);
    assert_int_equal(strlen(screen_row(0)), 78);
    assert_memory_equal(screen_row(0), text + 150 - 78, 78);
    type("\x01");
    assert_int_equal(column, 0);
    assert_memory_equal(screen_row(0), text, 79);
    assert_int_equal(strlen(screen_row(0)), 79);
    type("X");
    assert_memory_equal(screen_row(0) + 1, text, 78);
    type("\r");
    assert_int_equal(last, LINE_DONE);
    assert_int_equal(line_text().length, 151);
    line_clear();
    screen_clear();
    type_bytes(text, 78);
    assert_int_equal(column, 78);
    type("z");
    assert_int_equal(column, 78);
    assert_int_equal(row, 0);
}

static void a_line_that_does_not_fit_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHELL_LINE; i++)
        type("x");
    type("\r");
    assert_int_equal(last, LINE_DONE);
    assert_int_equal(line_text().length, SHELL_LINE);
    line_clear();
    row = 0;
    for (size_t i = 0; i < SHELL_LINE - 1; i++)
        type("x");
    type("\xc3\xbc"); // there is room for half of it
    assert_int_equal(line_text().length, SHELL_LINE - 1);
    type("\b\r");
    assert_int_equal(last, LINE_TOO_LONG);
    line_clear();
    row = 0;
    for (size_t i = 0; i < SHELL_LINE + 1; i++)
        type("x");
    type("\x15"
         "fine\r");
    assert_int_equal(last, LINE_DONE);
    assert_text("fine");
    line_clear();
}

/// Line ends, and thinking better of it ///

static void both_line_ends_are_one(void **state)
{
    (void)state;
    type("a\r");
    assert_int_equal(last, LINE_DONE);
    line_clear();
    type("\n");
    assert_int_equal(last, LINE_TYPING);
    assert_int_equal(row, 1);
    type("b\n");
    assert_int_equal(last, LINE_DONE);
    line_clear();
    type("\n");
    assert_int_equal(last, LINE_DONE);
    assert_text("");
}

static void control_c_forgets_the_line(void **state)
{
    (void)state;
    type("set everything on fire\x03");
    assert_int_equal(last, LINE_CANCELLED);
    assert_text("");
    assert_int_equal(row, 1);
    type("\x04");
    assert_int_equal(last, LINE_CANCELLED);
    type("x\x04");
    assert_int_equal(last, LINE_TYPING);
}

static void control_l_clears_the_screen_and_keeps_the_line(void **state)
{
    (void)state;
    type("a\rfoo" LEFT);
    line_clear();
    type("foo" LEFT);
    type("\x0c");
    assert_int_equal(row, 0);
    assert_line("foo", 2);
}

/// History ///

static void history_goes_up_and_down(void **state)
{
    (void)state;
    enter("one");
    enter("two");
    enter("two");
    enter("   ");
    enter(" three ");
    type(UP);
    assert_line("three", 5);
    type(UP);
    assert_line("two", 3);
    type(UP);
    assert_line("one", 3);
    type("\x10\x0e");
    assert_line("two", 3);
    type("!" DOWN);
    assert_line("three", 5);
    type(DOWN);
    assert_line("", 0);
    type(DOWN "draft" UP);
    assert_line("three", 5);
    enter("");
    type(UP);
    assert_line("three", 5);
}

static void old_lines_make_room(void **state)
{
    (void)state;
    char text[32];
    memset(text, 'h', sizeof text);
    for (unsigned i = 0; i < LINE_HISTORY / 8; i++) {
        text[0] = (char)('0' + i / 100 % 10);
        text[1] = (char)('0' + i / 10 % 10);
        text[2] = (char)('0' + i % 10);
        text[3 + i % 17] = '\0';
        enter(text);
        text[3 + i % 17] = 'h';
    }
    for (unsigned i = LINE_HISTORY / 8 - 1; i > LINE_HISTORY / 8 - 4; i--) {
        type(UP);
        assert_int_equal(line_text().length, 3 + i % 17);
        assert_int_equal(atoi(screen_row(0)), i);
    }
    for (unsigned i = 0; i < LINE_HISTORY; i++)
        type(UP);
    assert_true(line_text().length >= 3);
    enter("");
    char longest[LINE_HISTORY + 1];
    memset(longest, 'L', sizeof longest);
    if (sizeof longest > SHELL_LINE)
        return;
    type_bytes(longest, LINE_HISTORY - 1);
    enter("");
    type(UP);
    assert_int_equal(line_text().length, LINE_HISTORY - 1);
    type(UP);
    assert_int_equal(line_text().length, LINE_HISTORY - 1);
}

/// Completion ///

static void a_word_is_completed(void **state)
{
    (void)state;
    type("st\t");
    assert_line("status ", 7);
    type("\x15"
         "x\t");
    assert_line("x", 1);
    type("\x15"
         "gr\t");
    assert_line("grüße ", 6);
    type("\x15set m\t");
    assert_line("set mail.", 9);
    type("p\t");
    assert_line("set mail.port ", 14);
    type("\t");
    assert_line("set mail.port ", 14);
    type("\x15"
         "get m\t");
    assert_line("get m", 5);
}

static void several_are_listed(void **state)
{
    (void)state;
    type("s\t");
    assert_string_equal(screen_row(0), "status  say  set  ");
    assert_int_equal(row, 1);
    assert_line("s", 1);
    type("et mail.\t");
    assert_string_equal(screen_row(1), "mail.host  mail.port  ");
    assert_line("set mail.", 9);
}

static void completion_in_the_middle_keeps_the_rest(void **state)
{
    (void)state;
    type("set mail.h=5" LEFT LEFT "\t");
    assert_line("set mail.host=5", 13);
}

/// Secrets, and what is written over the line ///

static void a_secret_is_stars(void **state)
{
    (void)state;
    shown = 4;
    type("set s\xc3\xbc\xc3\x9f" LEFT "X");
    assert_string_equal(screen_row(0), "set ****");
    assert_int_equal(column, 7);
    assert_text("set s\xc3\xbcX\xc3\x9f");
    line_clear();
    assert_null(memchr(line_text().at, 'X', SHELL_LINE));
}

static void a_log_line_does_not_tear_it(void **state)
{
    (void)state;
    type("half a sen" LEFT);
    line_hide();
    line_hide();
    port_console_write("log\n", 4);
    assert_true(line_is_stale());
    line_show();
    screen_update();
    assert_string_equal(screen_row(0), "log");
    assert_int_equal(row, 1);
    assert_line("half a sen", 9);
    line_clear();
    machine_console_clear();
    line_hide();
    line_show();
    assert_string_equal(machine_console, ""); // there is nothing to hide
}

static void without_a_person_nothing_is_echoed_or_edited(void **state)
{
    (void)state;
    machine_console_is_terminal = false;
    type("ab\b\x7f"
         "c\x01\x1b[A\xff\x09\x04\x03"
         "d");
    assert_text("c[A\xff"
                "d");
    line_hide();
    line_show();
    assert_false(line_is_stale());
    type("\r");
    assert_int_equal(last, LINE_DONE);
    assert_string_equal(screen_row(0), "");
    assert_int_equal(row, 0);
}

#define TEST(NAME) cmocka_unit_test_setup(NAME, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_typed_is_seen),
        TEST(typing_at_the_end_costs_a_byte_each),
        TEST(every_key_does_what_it_says),
        TEST(every_byte_may_come_alone),
        TEST(at_the_ends_nothing_happens),
        TEST(a_character_is_one_step),
        TEST(half_a_character_is_not_shown),
        TEST(what_is_not_utf8_is_dropped),
        TEST(a_long_line_is_scrolled),
        TEST(a_line_that_does_not_fit_is_told),
        TEST(both_line_ends_are_one),
        TEST(control_c_forgets_the_line),
        TEST(control_l_clears_the_screen_and_keeps_the_line),
        TEST(history_goes_up_and_down),
        TEST(old_lines_make_room),
        TEST(a_word_is_completed),
        TEST(several_are_listed),
        TEST(completion_in_the_middle_keeps_the_rest),
        TEST(a_secret_is_stars),
        TEST(a_log_line_does_not_tear_it),
        TEST(without_a_person_nothing_is_echoed_or_edited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
