// The boot note, as boards/note.sh writes it, and as nobody should.
#include "../../app/limits.h"
#include "../../boards/common/board.h"
#include "../../boards/common/note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

extern char boot_note[BOOT_NOTE];

#define TITLE "pipit boot note 1\n"
#define HEX   "00112233445566778899aabbccddeeff"

static int no_note(void **state)
{
    (void)state;
    uint8_t seed[64];
    size_t length;
    memset(boot_note, 0xa5, sizeof boot_note);
    note_read();
    note_seed(seed, sizeof seed, &length);
    return 0;
}

static void read(const char *text)
{
    memcpy(boot_note, text, strlen(text) + 1);
    note_read();
}

static void expect(struct span s, const char *text)
{
    assert_int_equal(s.length, strlen(text));
    assert_memory_equal(s.at, text, s.length);
}

static void test_a_whole_note_has_three_parts(void **state)
{
    (void)state;
    uint8_t seed[64];
    size_t length;
    read(TITLE "seed = " HEX HEX "\nchat.rate = 0\nnet.name = x\n-----BEGIN CERTIFICATE-----\nAAAA\n");
    expect(note_settings(), "chat.rate = 0\nnet.name = x\n");
    expect(note_certificates(), "-----BEGIN CERTIFICATE-----\nAAAA\n");
    assert_true(note_seed(seed, sizeof seed, &length));
    assert_int_equal(length, 32);
    assert_int_equal(seed[1], 0x11);
    assert_int_equal(seed[31], 0xff);
}

// Nothing of it stays behind, neither in the note nor for a second caller: a second life must not begin like the first.
static void test_a_seed_is_given_once(void **state)
{
    (void)state;
    uint8_t seed[64];
    size_t length;
    read(TITLE "seed = " HEX HEX "\n");
    assert_null(memchr(boot_note + strlen(TITLE), 'f', 100));
    assert_true(note_seed(seed, sizeof seed, &length));
    assert_false(note_seed(seed, sizeof seed, &length));
    assert_int_equal(length, 0);
}

static void test_a_short_or_wrong_seed_is_none(void **state)
{
    static const char *const lines[] = {"seed = " HEX "\n", "seed = \n", "seed = xy" HEX HEX "\n",
                                        "sead = " HEX HEX "\n"};
    uint8_t seed[64];
    size_t length;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char note[200] = TITLE;
        no_note(state);
        read(strcat(note, lines[i]));
        assert_false(note_seed(seed, sizeof seed, &length));
    }
}

static void test_settings_without_a_seed(void **state)
{
    (void)state;
    read(TITLE "chat.rate = 5");
    expect(note_settings(), "chat.rate = 5");
    assert_int_equal(note_certificates().length, 0);
}

// RAM after a power-on holds anything; and a note that has no end could be anything.
static void test_what_is_no_note_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(note_settings().length, 0);
    read("pipit boot note 2\nchat.rate = 5\n");
    assert_int_equal(note_settings().length, 0);
    memset(boot_note, 'x', sizeof boot_note);
    memcpy(boot_note, TITLE, strlen(TITLE));
    note_read();
    assert_int_equal(note_settings().length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_is_no_note_is_ignored, no_note),
        cmocka_unit_test_setup(test_a_whole_note_has_three_parts, no_note),
        cmocka_unit_test_setup(test_a_seed_is_given_once, no_note),
        cmocka_unit_test_setup(test_a_short_or_wrong_seed_is_none, no_note),
        cmocka_unit_test_setup(test_settings_without_a_seed, no_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
