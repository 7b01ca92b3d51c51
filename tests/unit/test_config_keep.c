// Settings that outlive a reset: config_keep(), config_forget() and what a start makes of them.
#include "../../app/config.h"
#include "../../app/main.h"
#include "../../services/gateway/gateway.h"
#include "../../services/hub/hub.h"
#include "../../services/mail/mail.h"
#include "../../services/users/journal.h"
#include "machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/// A flash ///

static uint8_t cells[256 * 1024];
static bool failing;

static void cells_read(uint32_t offset, void *bytes, size_t length)
{
    memcpy(bytes, cells + offset, length);
}

static bool cells_program(uint32_t offset, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length && !failing; i++)
        cells[offset + i] &= ((const uint8_t *)bytes)[i];
    return !failing;
}

static bool cells_erase(uint32_t offset)
{
    if (!failing)
        memset(cells + offset, 0xff, 16384);
    return !failing;
}

static const struct machine_flash chip = {{sizeof cells, 16384, 4}, cells_read, cells_program, cells_erase};

static void start(void)
{
    config_defaults();
    pipit_recall();
}

static int fresh(void **state)
{
    (void)state;
    failing = false;
    memset(cells, 0, sizeof cells);
    machine_flash = &chip;
    machine_console_clear();
    start();
    return 0;
}

/// Keeping ///

static char sentence[200];

static bool keep(const char *key, const char *value)
{
    struct text why = text_in(sentence, sizeof sentence);
    bool good = config_keep(span_of(key), span_of(value), &why);
    text_end(&why);
    return good;
}

static bool forget(const char *key)
{
    struct text why = text_in(sentence, sizeof sentence);
    bool good = config_forget(span_of(key), &why);
    text_end(&why);
    return good;
}

static void of_every_type(void **state)
{
    (void)state;
    assert_true(keep("chat.rate", "77"));
    assert_true(keep("chat.guests", "0"));
    assert_true(keep("mail.tls", "implicit"));
    assert_true(keep("mail.host", "relay.example.org"));
    assert_true(keep("mail.password", "a secret = with #"));
    assert_true(keep("mail.user", "somebody"));
    assert_true(keep("mail.user", ""));
    start();
    assert_int_equal(hub_settings.rate, 77);
    assert_int_equal(gateway_settings.guests, 0);
    assert_int_equal(mail_settings.tls, 2);
    assert_string_equal(mail_settings.host, "relay.example.org");
    assert_string_equal(mail_settings.password, "a secret = with #");
    assert_string_equal(mail_settings.user, "");
    assert_true(config_was_set(span_of("chat.rate")));
    assert_false(config_was_set(span_of("api.rate")));
}

static void what_is_set_alone_is_gone(void **state)
{
    (void)state;
    struct text why = text_in(sentence, sizeof sentence);
    assert_true(config_set(span_of("chat.rate"), span_of("5"), &why));
    start();
    assert_int_equal(hub_settings.rate, 10);
}

static void forgetting(void **state)
{
    (void)state;
    assert_true(keep("chat.rate", "77"));
    assert_true(forget("chat.rate"));
    assert_int_equal(hub_settings.rate, 10);
    start();
    assert_int_equal(hub_settings.rate, 10);
    assert_true(forget("chat.rate"));
    assert_false(forget("chat.rates"));
    assert_string_equal(sentence, "There is no key chat.rates; did you mean chat.rate?");
    assert_true(keep("chat.rate", "78"));
    start();
    assert_int_equal(hub_settings.rate, 78);
}

static void what_stands_for_a_secret_keeps_the_secret(void **state)
{
    (void)state;
    assert_true(keep("mail.password", "hush"));
    assert_true(keep("mail.password", "(set)"));
    start();
    assert_string_equal(mail_settings.password, "hush");
    assert_true(keep("mail.password", "(unset)"));
    start();
    assert_string_equal(mail_settings.password, "");
}

static void what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    assert_true(keep("chat.rate", "77"));
    uint32_t records = records_appended();
    assert_false(keep("chat.rate", "many"));
    assert_string_equal(sentence, "chat.rate must be a number from 0 to 1000000.");
    assert_false(keep("chat.rates", "1"));
    assert_int_equal(records_appended(), records);
    assert_int_equal(hub_settings.rate, 77);
    start();
    assert_int_equal(hub_settings.rate, 77);
}

static void failing_flash_leaves_the_old_value(void **state)
{
    (void)state;
    assert_true(keep("mail.host", "relay.example.org"));
    failing = true;
    assert_false(keep("mail.host", "other.example.org"));
    assert_string_equal(sentence, "The flash memory failed; nothing was changed.");
    assert_string_equal(mail_settings.host, "relay.example.org");
    assert_false(keep("chat.rate", "77"));
    assert_int_equal(hub_settings.rate, 10);
    assert_false(config_was_set(span_of("chat.rate")));
    assert_false(forget("mail.host"));
    assert_string_equal(mail_settings.host, "relay.example.org");
}

static void a_machine_without_flash_sets_it(void **state)
{
    (void)state;
    machine_flash = NULL;
    start();
    assert_true(keep("chat.rate", "77"));
    assert_int_equal(hub_settings.rate, 77);
    assert_true(forget("chat.rate"));
    assert_int_equal(hub_settings.rate, 10);
}

// Another version of the program had other bounds, and keys that are gone.
static void what_is_not_valid_any_more_is_left_out(void **state)
{
    (void)state;
    assert_int_equal(journal_keep_setting(span_of("chat.rate"), span_of("1000001")), RECORDS_OK);
    assert_int_equal(journal_keep_setting(span_of("chat.colour"), span_of("red")), RECORDS_OK);
    assert_true(keep("api.rate", "9"));
    start();
    assert_int_equal(hub_settings.rate, 10);
    assert_int_equal(gateway_settings.api_rate, 9);
    assert_non_null(
        strstr(machine_console, "a kept setting is left out: chat.rate must be a number from 0 to 1000000.\n"));
    assert_non_null(strstr(machine_console, "a kept setting is left out: There is no key chat.colour"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(of_every_type, fresh),
        cmocka_unit_test_setup(what_is_set_alone_is_gone, fresh),
        cmocka_unit_test_setup(forgetting, fresh),
        cmocka_unit_test_setup(what_stands_for_a_secret_keeps_the_secret, fresh),
        cmocka_unit_test_setup(what_is_wrong_changes_nothing, fresh),
        cmocka_unit_test_setup(failing_flash_leaves_the_old_value, fresh),
        cmocka_unit_test_setup(a_machine_without_flash_sets_it, fresh),
        cmocka_unit_test_setup(what_is_not_valid_any_more_is_left_out, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
