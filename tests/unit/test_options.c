// The simulator's command line: what it takes, what it sets, and the one sentence when something is wrong.
#define _GNU_SOURCE 1 // as sim.mk compiles options.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../sim/options.c"
#include "machine.h"
#include <stdlib.h>

static struct options options;
static char sentence[1024];

// Reads a command line given as words behind each other, each ended by NUL and the last by two.
static bool reads(const char *words)
{
    char *argv[40] = {(char *)(uintptr_t) "pipit"};
    int argc = 1;
    for (const char *word = words; *word != '\0'; word += strlen(word) + 1)
        argv[argc++] = (char *)(uintptr_t)word;
    struct text why = text_in(sentence, sizeof sentence - 1);
    config_defaults();
    bool good = options_read(argc, argv, &options, &why) && options_settings(argc, argv, &options, &why);
    sentence[why.length] = '\0';
    return good;
}

// The value of a key as config_show() has it, without the name.
static const char *value_of(const char *key)
{
    static char line[512];
    struct text t = text_in(line, sizeof line);
    int index = config_find(span_of(key));
    assert_true(index >= 0);
    assert_true(config_show((size_t)index, &t));
    const char *equals = strstr(text_end(&t), " = ");
    assert_non_null(equals);
    return equals + 3;
}

/// What is taken ///

static void test_nothing_given(void **state)
{
    (void)state;
    assert_true(reads("\0"));
    assert_string_equal(sentence, "");
    assert_int_equal(options.action, OPTIONS_RUN);
    assert_int_equal(options.forward_count, 2);
    assert_int_equal(options.forwards[0].host_address, 0x7f000001);
    assert_int_equal(options.forwards[0].host_port, 8080);
    assert_int_equal(options.forwards[0].device_port, 80);
    assert_int_equal(options.forwards[1].host_address, 0x7f000001);
    assert_int_equal(options.forwards[1].host_port, 8443);
    assert_int_equal(options.forwards[1].device_port, 443);
    assert_string_equal(value_of("https.port"), "8443");
    assert_null(options.tap);
    assert_string_equal(net_settings.address, "10.0.2.15/24");
    assert_string_equal(net_settings.gateway, "10.0.2.2");
    assert_string_equal(net_settings.dns, "10.0.2.3");
    assert_string_equal(value_of("dev.echo_code"), "1");
    assert_string_equal(value_of("net.per_address"), "0");
}

static void test_forwards(void **state)
{
    (void)state;
    assert_true(reads("--forward\0"
                      "9000:80\0--forward=0.0.0.0:50051:50051\0--forward\0"
                      "0:1\0"));
    assert_int_equal(options.forward_count, 3);
    assert_int_equal(options.forwards[0].host_port, 9000);
    assert_int_equal(options.forwards[1].host_address, 0);
    assert_int_equal(options.forwards[1].host_port, 50051);
    assert_int_equal(options.forwards[1].device_port, 50051);
    assert_int_equal(options.forwards[2].host_port, 0);
    assert_int_equal(options.forwards[2].host_address, 0x7f000001);
}

static void test_tap(void **state)
{
    (void)state;
    assert_true(reads("--tap\0tap0\0--ip\0"
                      "192.168.7.2/24\0--gateway\0"
                      "192.168.7.1\0--mtu\0"
                      "65440\0"));
    assert_string_equal(options.tap, "tap0");
    assert_int_equal(options.mtu, 65440);
    assert_int_equal(options.forward_count, 0);
    assert_string_equal(net_settings.address, "192.168.7.2/24");
    assert_string_equal(net_settings.gateway, "192.168.7.1");
    assert_string_equal(net_settings.dns, "");
    assert_string_equal(value_of("net.per_address"), "32");
}

static void test_a_device_without_an_address_asks_dhcp(void **state)
{
    (void)state;
    assert_true(reads("--tap\0tap0\0--dns\0"
                      "192.168.7.1\0"));
    assert_string_equal(net_settings.address, "");
    assert_string_equal(net_settings.gateway, "");
    assert_string_equal(net_settings.dns, "192.168.7.1");
    assert_string_equal(value_of("net.mdns"), "1");
    assert_string_equal(value_of("net.sntp"), "");
    assert_true(reads("--set\0net.address=\0"));
    assert_string_equal(net_settings.address, "");
    assert_string_equal(value_of("net.mdns"), "0");
    assert_true(reads("--set\0net.address=dhcp\0--set\0net.name=kitchen\0"));
    assert_string_equal(net_settings.address, "dhcp");
    assert_string_equal(net_settings.name, "kitchen");
}

static void test_actions(void **state)
{
    (void)state;
    assert_true(reads("--help\0"));
    assert_int_equal(options.action, OPTIONS_HELP);
    assert_true(reads("--version\0"));
    assert_int_equal(options.action, OPTIONS_VERSION);
}

/// Keys ///

static void test_set_wins_over_defaults(void **state)
{
    (void)state;
    assert_true(reads("--set\0dev.echo_code=0\0--set=chat.rate=7\0--set\0chat.rate=8\0"));
    assert_string_equal(value_of("dev.echo_code"), "0");
    assert_string_equal(value_of("chat.rate"), "8");
}

static void test_development_mode_goes_when_somebody_mails_codes(void **state)
{
    (void)state;
    assert_true(reads("--set\0mail.host=10.0.2.2\0"));
    assert_string_equal(value_of("dev.echo_code"), "0");
    assert_true(reads("--set\0verify.target=10.0.2.2:50051\0"));
    assert_string_equal(value_of("dev.echo_code"), "0");
    assert_true(reads("--set\0mail.host=10.0.2.2\0--set\0dev.echo_code=1\0"));
    assert_string_equal(value_of("dev.echo_code"), "1");
    assert_true(reads("--set\0mail.host=\0--set\0verify.target=127.0.0.1:50051\0"));
    assert_string_equal(value_of("dev.echo_code"), "1");
}

static char path[] = "/tmp/pipit-options-XXXXXX";

static void write_config(const char *content)
{
    strcpy(path, "/tmp/pipit-options-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    assert_int_equal(close(fd), 0);
}

static bool reads_with_config(const char *content, bool set_first)
{
    char words[256];
    struct text t = text_in(words, sizeof words);
    write_config(content);
    text_span(&t, set_first ? (struct span){"--set\0chat.rate=3", 18} : (struct span){"", 0});
    text_span(&t, (struct span){"--config", 9});
    text_string(&t, path);
    text_span(&t, (struct span){"\0", 2});
    bool good = reads(words);
    assert_int_equal(unlink(path), 0);
    return good;
}

static void test_config_file(void **state)
{
    (void)state;
    assert_true(reads_with_config("# rates\nchat.rate = 5\nnet.per_address = 9\n", false));
    assert_string_equal(value_of("chat.rate"), "5");
    assert_string_equal(value_of("net.per_address"), "9");
}

static void test_set_wins_over_config(void **state)
{
    (void)state;
    assert_true(reads_with_config("chat.rate = 5\n", true));
    assert_string_equal(value_of("chat.rate"), "3");
}

static void test_bad_config_names_file_and_line(void **state)
{
    (void)state;
    assert_false(reads_with_config("chat.rate = 5\nnonsense\n", false));
    assert_non_null(strstr(sentence, path));
    assert_non_null(strstr(sentence, "ine 2"));
}

static void test_config_size(void **state)
{
    (void)state;
    static char content[65537];
    memset(content, '\n', sizeof content - 1);
    assert_false(reads_with_config(content, false));
    assert_non_null(strstr(sentence, "less than 64 KB"));
    content[65535] = '\0';
    assert_true(reads_with_config(content, false));
}

/// What is refused ///

struct refusal {
    const char *words;
    const char *sentence; // a piece of it
};

static const struct refusal refusals[] = {
    {"--bogus\0", "no option \"--bogus\""},
    {"stray\0", "no option \"stray\""},
    {"-h\0", "no option \"-h\""},
    {"--forwar\0", "no option"},
    {"--forward\0", "--forward needs a value"},
    {"--help=1\0", "--help takes no value"},
    {"--forward\0"
     "65536:80\0",
     "HOSTPORT:DEVICEPORT"},
    {"--forward\0"
     "8080\0",
     "HOSTPORT:DEVICEPORT"},
    {"--forward\0"
     "8080:0\0",
     "HOSTPORT:DEVICEPORT"},
    {"--forward\0"
     "8080:80x\0",
     "HOSTPORT:DEVICEPORT"},
    {"--forward\0"
     "-1:80\0",
     "HOSTPORT:DEVICEPORT"},
    {"--forward\0:\0", "HOSTPORT:DEVICEPORT"},
    {"--forward\0"
     "1.2.3:1:2\0",
     "not an IPv4 address"},
    {"--forward\0"
     "1.2.3.256:1:2\0",
     "not an IPv4 address"},
    {"--forward\0"
     "1.2.3.4:1:2:3\0",
     "HOSTPORT:DEVICEPORT"},
    {"--mtu\0"
     "1500\0",
     "go with --tap"},
    {"--ip\0"
     "10.0.0.2\0",
     "prefix length"},
    {"--ip\0"
     "10.0.0.2/31\0",
     "prefix length"},
    {"--ip\0"
     "10.0.0.2/0\0",
     "prefix length"},
    {"--ip\0"
     "10.0.0/8\0",
     "prefix length"},
    {"--ip\0"
     "10..0.1/8\0",
     "prefix length"},
    {"--gateway\0x\0", "--gateway x"},
    {"--dns\0"
     "1.2.3.4.5\0",
     "--dns 1.2.3.4.5"},
    {"--tap\0t\0--ip\0"
     "10.0.0.2/24\0--gateway\0"
     "10.0.1.1\0",
     "in the network of --ip"},
    {"--tap\0t\0--ip\0"
     "10.0.0.2/24\0--gateway\0"
     "10.0.0.2\0",
     "in the network of --ip"},
    {"--tap\0t\0--ip\0"
     "10.0.0.2/24\0--forward\0"
     "1:1\0",
     "--forward goes with the built-in network"},
    {"--tap\0t\0--ip\0"
     "10.0.0.2/24\0--mtu\0"
     "575\0",
     "576 to 65440"},
    {"--tap\0t\0--ip\0"
     "10.0.0.2/24\0--mtu\0"
     "65441\0",
     "576 to 65440"},
    {"--set\0chat.rate\0", "KEY=VALUE"},
    {"--set\0chat.rat=1\0", "chat.rat"},
    {"--set\0chat.rate=-1\0", "chat.rate"},
    {"--config\0/nonexistent/pipit\0", "can't be read"},
    {"--config\0/tmp\0", "can't be read"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        assert_false(reads(refusals[i].words));
        if (strstr(sentence, refusals[i].sentence) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", sentence, refusals[i].sentence);
        assert_null(strchr(sentence, '\n'));
        assert_non_null(strchr(".?", sentence[strlen(sentence) - 1])); // "did you mean chat.rate?"
    }
}

static void test_too_many_forwards(void **state)
{
    (void)state;
    char words[OPTIONS_FORWARDS * 16 + 32];
    struct text t = text_in(words, sizeof words);
    for (unsigned i = 0; i < OPTIONS_FORWARDS; i++)
        text_span(&t, (struct span){"--forward=10:10", 16});
    struct text full = t;
    text_byte(&full, '\0');
    assert_true(reads(words));
    assert_int_equal(options.forward_count, OPTIONS_FORWARDS);
    text_span(&t, (struct span){"--forward=10:10\0", 17});
    assert_false(reads(words));
    assert_non_null(strstr(sentence, "16 --forward"));
}

/// Help ///

static void test_help_lists_options_and_keys(void **state)
{
    (void)state;
    machine_console_clear();
    options_help(port_console_write);
    for (size_t i = 0; i < ROWS; i++)
        assert_non_null(strstr(machine_console, rows[i].name));
    assert_non_null(strstr(machine_console, "chat.rate"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_forwards),
        cmocka_unit_test(test_tap),
        cmocka_unit_test(test_a_device_without_an_address_asks_dhcp),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_set_wins_over_defaults),
        cmocka_unit_test(test_development_mode_goes_when_somebody_mails_codes),
        cmocka_unit_test(test_config_file),
        cmocka_unit_test(test_set_wins_over_config),
        cmocka_unit_test(test_bad_config_names_file_and_line),
        cmocka_unit_test(test_config_size),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_too_many_forwards),
        cmocka_unit_test(test_help_lists_options_and_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
