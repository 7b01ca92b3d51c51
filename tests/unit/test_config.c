// Runtime settings: every key's range, default and sentence.
#include "../../app/config.h"
#include "../../port/log.h"
#include "../../port/net.h"
#include "../../port/syslog/syslog.h"
#include "../../port/tls/identity.h"
#include "../../services/echo/echo.h"
#include "../../services/gateway/gateway.h"
#include "../../services/gateway/verify_client.h"
#include "../../services/https/https.h"
#include "../../services/hub/hub.h"
#include "../../services/interop/interop.h"
#include "../../services/mail/mail.h"
#include "../../services/proto/smtp.h"
#include "../../services/rpc/rpc.h"
#include "../../services/status/status.h"
#include "../../services/verify/verify.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char why[256];

static int defaults(void **state)
{
    (void)state;
    config_defaults();
    return 0;
}

static bool set(const char *key, const char *value)
{
    struct text t = text_in(why, sizeof why);
    bool done = config_set(span_of(key), span_of(value), &t);
    text_end(&t);
    if (done)
        assert_string_equal(why, "");
    else
        assert_string_not_equal(why, "");
    return done;
}

static bool read(const char *file)
{
    struct text t = text_in(why, sizeof why);
    bool done = config_read(span_of(file), &t);
    text_end(&t);
    return done;
}

static const char *shown(const char *key)
{
    static char line[400];
    struct text t = text_in(line, sizeof line);
    int index = config_find(span_of(key));
    assert_true(index >= 0);
    assert_true(config_show((size_t)index, &t));
    return text_end(&t);
}

/// Numbers ///

static const struct {
    const char *key;
    uint32_t *field;
    uint32_t least, most, initial;
} numbers[] = {
    {"chat.rate", &hub_settings.rate, 0, 1000000, 10},
    {"chat.guests", &gateway_settings.guests, 0, 1, 1},
    {"chat.echo", &echo_settings.enabled, 0, 1, 0},
    {"api.rate", &gateway_settings.api_rate, 0, 1000000, 300},
    {"login.tries", &gateway_settings.login_tries, 0, 100, 5},
    {"login.backoff", &gateway_settings.login_backoff, 1, 900, 2},
    {"http.header_timeout", &gateway_settings.header_timeout, 1, 3600, 10},
    {"http.body_timeout", &gateway_settings.body_timeout, 1, 3600, 20},
    {"http.idle_timeout", &gateway_settings.idle_timeout, 1, 86400, 60},
    {"http.redirect", &https_settings.redirect, 0, 1, 0},
    {"http.hsts", &https_settings.hsts, 0, 63072000, 0},
    {"https.enabled", &https_settings.enabled, 0, 1, 1},
    {"https.port", &https_settings.port, 1, 65535, 443},
    {"tls.handshake_timeout", &net_tls_settings.handshake_timeout, 1, 600, 10},
    {"rpc.tls", &rpc_settings.tls, 0, 1, 0},
    {"dev.echo_code", &codes_settings.echo, 0, 1, 0},
    {"net.per_address", &net_settings.per_address, 0, 1000000, 32},
    {"net.mdns", &net_settings.mdns, 0, 1, 1},
    {"verify.cooldown", &codes_settings.cooldown, 0, 86400, 60},
    {"verify.ttl", &codes_settings.ttl, 1, 86400, 180},
    {"verify.tries", &codes_settings.tries, 1, 1000, 5},
    {"mail.budget", &verify_settings.budget, 0, 1000000, 120},
    {"mail.per_address", &gateway_settings.code_rate, 0, 1000000, 20},
    {"mail.port", &mail_settings.port, 0, 65535, 0},
    {"mail.verify", &mail_settings.verify, 0, 1, 1},
    {"mail.insecure_auth", &mail_settings.insecure_auth, 0, 1, 0},
    {"mail.timeout", &mail_settings.timeout, 1, 600, 60},
    {"rpc.timeout", &rpc_settings.timeout, 1, 600, 15},
    {"rpc.interop", &interop_settings.enabled, 0, 1, 0},
    {"status.ttl", &status_settings.ttl, 1, 31536000, 86400},
    {"status.max_age", &status_settings.max_age, 0, 31536000, 2592000},
    {"tls.days", &tls_identity_settings.days, 1, 3650, 397},
    {"ws.ping", &hub_settings.ping, 1, 3600, 25},
    {"ws.stall", &hub_settings.stall, 1, 3600, 30},
    {"log.port", &syslog_settings.port, 1, 65535, 514},
};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

static const char *decimal(uint32_t number)
{
    static char digits[12];
    struct text t = text_in(digits, sizeof digits);
    text_format(&t, "%u", (unsigned)number);
    return text_end(&t);
}

static void every_number_takes_its_range_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUMBERS; i++) {
        assert_int_equal(*numbers[i].field, numbers[i].initial);
        assert_true(set(numbers[i].key, decimal(numbers[i].least)));
        assert_int_equal(*numbers[i].field, numbers[i].least);
        assert_true(set(numbers[i].key, decimal(numbers[i].most)));
        assert_int_equal(*numbers[i].field, numbers[i].most);
        assert_false(set(numbers[i].key, decimal(numbers[i].most + 1)));
        if (numbers[i].least > 0)
            assert_false(set(numbers[i].key, decimal(numbers[i].least - 1)));
        assert_int_equal(*numbers[i].field, numbers[i].most);
        assert_true(config_unset(span_of(numbers[i].key)));
        assert_int_equal(*numbers[i].field, numbers[i].initial);
    }
}

static void what_is_no_number_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", " 5", "5 ", "-1", "+5", "5s", "0x5", "4294967301", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(set("chat.rate", wrong[i]));
        assert_string_equal(why, "chat.rate must be a number from 0 to 1000000.");
        assert_int_equal(hub_settings.rate, 10);
    }
    assert_false(set("chat.guests", "yes"));
    assert_string_equal(why, "chat.guests must be 0 or 1.");
    assert_int_equal(gateway_settings.guests, 1);
}

static void the_log_level_has_names_and_numbers(void **state)
{
    (void)state;
    assert_int_equal(log_threshold, LOG_INFO);
    assert_true(set("log.level", "error"));
    assert_int_equal(log_threshold, LOG_ERROR);
    assert_true(set("log.level", "Warning"));
    assert_int_equal(log_threshold, LOG_WARNING);
    assert_true(set("log.level", "3"));
    assert_int_equal(log_threshold, LOG_DEBUG);
    assert_string_equal(shown("log.level"), "log.level = debug");
    assert_false(set("log.level", "4"));
    assert_string_equal(why, "log.level must be error, warning, info or debug (or their numbers, 0 to 3).");
    assert_false(set("log.level", "inf"));
    assert_false(set("log.level", ""));
    assert_int_equal(log_threshold, LOG_DEBUG);
    assert_true(config_unset(span_of("log.level")));
    assert_int_equal(log_threshold, LOG_INFO);
}

static void a_choice_is_named(void **state)
{
    (void)state;
    assert_int_equal(mail_settings.tls, SMTP_TLS_STARTTLS);
    assert_true(set("mail.tls", "implicit"));
    assert_int_equal(mail_settings.tls, SMTP_TLS_IMPLICIT);
    assert_string_equal(shown("mail.tls"), "mail.tls = implicit");
    assert_true(set("mail.tls", "NONE"));
    assert_int_equal(mail_settings.tls, SMTP_TLS_NONE);
    assert_false(set("mail.tls", "ssl"));
    assert_string_equal(why, "mail.tls must be none, starttls or implicit (or their numbers, 0 to 2).");
    assert_int_equal(rpc_settings.listen_any, 0);
    assert_true(set("rpc.listen", "any"));
    assert_int_equal(rpc_settings.listen_any, 1);
    assert_true(set("rpc.listen", "loopback"));
    assert_int_equal(rpc_settings.listen_any, 0);
    assert_false(set("rpc.listen", "2"));
    assert_string_equal(why, "rpc.listen must be loopback or any (or their numbers, 0 to 1).");
}

/// Secrets ///

static void a_secret_is_never_shown(void **state)
{
    (void)state;
    assert_string_equal(shown("mail.password"), "mail.password = (unset)");
    assert_true(set("mail.password", "correct horse"));
    assert_string_equal(mail_settings.password, "correct horse");
    assert_string_equal(shown("mail.password"), "mail.password = (set)");
    char longer[300];
    memset(longer, 'a', sizeof longer);
    longer[sizeof mail_settings.password] = '\0';
    assert_false(set("mail.password", longer));
    assert_null(strstr(why, "aaa"));
    assert_string_equal(mail_settings.password, "correct horse");
    assert_true(set("mail.password", "x"));
    for (size_t i = 1; i < sizeof mail_settings.password; i++)
        assert_int_equal(mail_settings.password[i], 0);
    assert_true(config_unset(span_of("mail.password")));
    assert_string_equal(mail_settings.password, "");
}

// A listing of all keys, read as a file, once made "(unset)" the password.
static void what_stands_for_a_secret_changes_nothing(void **state)
{
    (void)state;
    assert_true(set("rpc.secret", "(unset)"));
    assert_string_equal(rpc_settings.secret, "");
    assert_true(set("rpc.secret", "sesame"));
    assert_true(set("rpc.secret", "(set)"));
    assert_string_equal(rpc_settings.secret, "sesame");
    assert_true(set("rpc.secret", "(unset)"));
    assert_string_equal(rpc_settings.secret, "");
}

/// Set and default ///

static void it_is_known_what_was_set(void **state)
{
    (void)state;
    assert_false(config_was_set(span_of("dev.echo_code")));
    assert_true(config_is_default(span_of("dev.echo_code")));
    assert_true(set("dev.echo_code", "0"));
    assert_true(config_was_set(span_of("dev.echo_code")));
    assert_true(config_is_default(span_of("dev.echo_code")));
    assert_false(set("mail.tls", "x"));
    assert_false(config_was_set(span_of("mail.tls")));
    assert_true(set("verify.target", "10.0.2.2:50051"));
    assert_false(config_is_default(span_of("verify.target")));
    assert_true(config_unset(span_of("verify.target")));
    assert_true(config_is_default(span_of("verify.target")));
    config_defaults();
    assert_false(config_was_set(span_of("dev.echo_code")));
    struct text t = text_in(why, sizeof why);
    assert_true(config_preset(span_of("dev.echo_code"), span_of("1"), &t));
    assert_int_equal(codes_settings.echo, 1);
    assert_false(config_was_set(span_of("dev.echo_code")));
    assert_false(config_preset(span_of("dev.echo_code"), span_of("2"), &t));
    assert_false(config_was_set(span_of("no.key")));
    assert_false(config_is_default(span_of("no.key")));
}

/// Texts ///

static void texts_are_checked(void **state)
{
    (void)state;
    assert_true(set("mail.from", "pipit@example.com"));
    assert_false(set("mail.from", "pipit"));
    assert_string_equal(why, "mail.from must be an email address, or empty.");
    assert_true(set("mail.from", ""));
    assert_true(set("mail.host", "relay-1.example.com"));
    assert_false(set("mail.host", "10.0.2.2:25"));
    assert_string_equal(why, "mail.host must be a name or an IPv4 address; the port is mail.port.");
    assert_false(set("mail.host", "smtp://relay"));
    assert_string_equal(verify_settings.subject, "Your Pipit verification code");
    assert_true(set("mail.subject", "Pr\xc3\xbc"
                                    "fcode"));
    assert_false(set("mail.subject", "Pr\xfc"
                                     "fcode"));
    assert_string_equal(why, "mail.subject must be UTF-8.");
    assert_false(set("verify.target", "10.0.2.2"));
    assert_true(set("status.nodes", "this,10.0.2.2:8080"));
    assert_false(set("status.nodes", "10.0.2.2"));
}

static void a_text_fills_its_field_and_no_more(void **state)
{
    (void)state;
    char value[300];
    memset(value, 'a', sizeof value);
    value[255] = '\0';
    assert_true(set("http.origins", value));
    assert_string_equal(gateway_settings.origins, value);
    value[255] = 'b';
    value[256] = '\0';
    assert_false(set("http.origins", value));
    assert_string_equal(why, "http.origins must be a text of at most 255 bytes without control characters.");
    assert_int_equal(strlen(gateway_settings.origins), 255);
}

static void a_shorter_text_leaves_nothing_of_the_longer(void **state)
{
    (void)state;
    assert_true(set("http.names", "chat.example, other.example"));
    assert_true(set("http.names", "a"));
    for (size_t i = 1; i < sizeof gateway_settings.names; i++)
        assert_int_equal(gateway_settings.names[i], 0);
    assert_true(set("http.names", ""));
    assert_string_equal(gateway_settings.names, "");
}

static void a_text_has_no_control_bytes(void **state)
{
    (void)state;
    static const char *const wrong[] = {"a\nb", "a\r", "\ta", "a\x7f", "\x1b[2J"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(set("http.names", wrong[i]));
    struct text t = text_in(why, sizeof why);
    assert_false(config_set(span_of("http.names"), (struct span){"a\0b", 3}, &t));
    assert_string_equal(gateway_settings.names, "");
    assert_true(set("http.names", "b\xc3\xbc"
                                  "cher.example"));
}

static void addresses_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"192.0.2.1", "0.0.0.0", "255.255.255.255", ""};
    static const char *const wrong[] = {"192.0.2",  "192.0.2.1.5", "192.0.2.256",  "192.0.2.",  "192.0.02.1",
                                        ".0.2.1.1", "router",      "192.0.2.1/24", " 192.0.2.1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(set("net.gateway", good[i]));
        assert_string_equal(net_settings.gateway, good[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(set("net.dns", wrong[i]));
    assert_string_equal(net_settings.dns, "");
    assert_string_equal(why, "net.dns must be an IPv4 address like 10.0.2.2, or empty.");
}

static void our_own_address_may_have_a_prefix(void **state)
{
    (void)state;
    static const char *const good[] = {"192.0.2.1/0", "192.0.2.1/32", "192.0.2.1",         "",
                                       "dhcp",        "DHCP",         "192.168.100.200/24"};
    static const char *const wrong[] = {"192.0.2.1/",   "192.0.2.1/33", "192.0.2.1/24/", "/24",
                                        "192.0.2.1/-1", "dhcp/24",      "auto"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(set("net.address", good[i]));
        assert_string_equal(net_settings.address, good[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(set("net.address", wrong[i]));
    assert_string_equal(net_settings.address, "192.168.100.200/24");
    assert_string_equal(
        why, "net.address must be an IPv4 address with the length of its prefix, like 10.0.2.15/24, or dhcp.");
}

static void a_host_name_is_one_label(void **state)
{
    (void)state;
    static const char *const good[] = {"pipit", "Kitchen-2", "7", "a", "abcdefghijklmnopqrstuvwxyz012345"};
    static const char *const wrong[] = {"",
                                        "-pipit",
                                        "pipit-",
                                        "pi pit",
                                        "pipit.local",
                                        "pi_pit",
                                        "b\xc3\xbc"
                                        "cher",
                                        "-",
                                        "abcdefghijklmnopqrstuvwxyz0123456"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(set("net.name", good[i]));
        assert_string_equal(net_settings.name, good[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(set("net.name", wrong[i]));
    assert_false(set("net.name", "pipit.local"));
    assert_string_equal(why, "net.name must be letters, digits and hyphens, with no hyphen at an end.");
    assert_true(set("net.name", "pipit"));
}

static void a_time_server_has_no_port(void **state)
{
    (void)state;
    assert_true(set("net.sntp", "ntp.example.org"));
    assert_true(set("net.sntp", "192.0.2.1"));
    assert_false(set("net.sntp", "ntp.example.org:123"));
    assert_string_equal(why, "net.sntp must be a name or an IPv4 address, or empty.");
    assert_true(set("net.sntp", ""));
}

/// Unknown keys ///

static void assert_unknown(const char *key, const char *sentence)
{
    assert_false(set(key, "1"));
    assert_string_equal(why, sentence);
    assert_int_equal(config_find(span_of(key)), -1);
    assert_false(config_unset(span_of(key)));
}

static void an_unknown_key_is_answered_with_a_guess(void **state)
{
    (void)state;
    assert_unknown("chat.rat", "There is no key chat.rat; did you mean chat.rate?");
    assert_unknown("Chat.rate", "There is no key Chat.rate; did you mean chat.rate?");
    assert_unknown("chat_rate", "There is no key chat_rate; did you mean chat.rate?");
    assert_unknown("guests", "There is no key guests; did you mean chat.guests?");
    assert_unknown("http.idletimeout", "There is no key http.idletimeout; did you mean http.idle_timeout?");
    assert_unknown("status.tll", "There is no key status.tll; did you mean status.ttl?");
}

static void a_key_like_nothing_gets_no_guess(void **state)
{
    (void)state;
    assert_unknown("zzzzzzzzzz", "There is no key zzzzzzzzzz.");
    assert_unknown("", "There is no key .");
    assert_unknown("a\x1b[2J", "There is no key a?[2J.");
    assert_unknown("0123456789012345678901234567890123456789", "There is no key 012345678901234567890123....");
}

static void a_sentence_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    char little[8] = "-------";
    struct text t = text_in(little, 5);
    assert_false(config_set(span_of("chat.rate"), span_of("x"), &t));
    assert_true(t.cut);
    assert_string_equal(little, "chat.--");
}

/// Files ///

static void a_file_has_lines_comments_and_space(void **state)
{
    (void)state;
    assert_true(read("# settings\n"
                     "\n"
                     "  chat.rate   =  5  \r\n"
                     "\t# http.names = no\n"
                     "http.names=a.example, b.example\n"
                     "http.origins = https://c.example/?x=1\n"
                     "verify.ttl = 90"));
    assert_int_equal(hub_settings.rate, 5);
    assert_string_equal(gateway_settings.names, "a.example, b.example");
    assert_string_equal(gateway_settings.origins, "https://c.example/?x=1");
    assert_int_equal(codes_settings.ttl, 90);
    assert_true(read("http.names =\n"));
    assert_string_equal(gateway_settings.names, "");
    assert_true(read(""));
    assert_true(read("\n\n"));
}

static void a_wrong_line_is_named_and_ends_the_reading(void **state)
{
    (void)state;
    assert_false(read("chat.rate = 5\n\n# fine\nws.ping = 0\nws.stall = 9\n"));
    assert_string_equal(why, "Line 4: ws.ping must be a number from 1 to 3600.");
    assert_int_equal(hub_settings.rate, 5);
    assert_int_equal(hub_settings.ping, 25);
    assert_int_equal(hub_settings.stall, 30);
    assert_false(read("chat.rate 5"));
    assert_string_equal(why, "Line 1: It must read \"key = value\".");
    assert_false(read("= 5"));
    assert_string_equal(why, "Line 1: There is no key .");
}

/// Showing ///

static void what_is_shown_can_be_read_again(void **state)
{
    (void)state;
    char file[4096];
    struct text all = text_in(file, sizeof file);
    assert_true(set("chat.rate", "77"));
    assert_true(set("http.names", "a.example"));
    assert_true(set("log.level", "debug"));
    for (size_t i = 0; config_show(i, &all); i++)
        text_byte(&all, '\n');
    assert_false(all.cut);
    config_defaults();
    assert_int_equal(hub_settings.rate, 10);
    struct text t = text_in(why, sizeof why);
    assert_true(config_read(text_whole(&all), &t));
    assert_int_equal(hub_settings.rate, 77);
    assert_string_equal(gateway_settings.names, "a.example");
    assert_int_equal(log_threshold, LOG_DEBUG);
}

// The names, in order, stand alone and are found again; each has a line of help that names it.
static void every_key_is_found_shown_and_helped(void **state)
{
    (void)state;
    size_t count = 0;
    for (char line[400];; count++) {
        struct text t = text_in(line, sizeof line);
        if (!config_show(count, &t))
            break;
        struct span rest = text_whole(&t);
        struct span name = span_cut(&rest, ' ');
        assert_int_equal(config_find(name), (int)count);
        char help[400];
        struct text h = text_in(help, sizeof help);
        assert_true(config_help(count, &h));
        assert_false(h.cut);
        assert_true(span_starts(text_whole(&h), name));
        assert_true(h.length > name.length + 20);
        assert_true(span_equal(span_of(config_name(count)), name));
        assert_true(name.length <= CONFIG_NAME);
        assert_true(strlen(config_meaning(count)) > 5);
    }
    assert_null(config_name(count));
    assert_int_equal(count, NUMBERS + 21);
    struct text t = text_in(why, sizeof why);
    assert_false(config_help(count, &t));
    assert_false(config_show((size_t)-1, &t));
    assert_int_equal(t.length, 0);
}

static const char *helped(const char *key)
{
    static char line[400];
    struct text t = text_in(line, sizeof line);
    assert_true(config_help((size_t)config_find(span_of(key)), &t));
    return text_end(&t);
}

static void help_tells_range_and_default(void **state)
{
    (void)state;
    assert_string_equal(helped("chat.rate"),
                        "chat.rate (0 to 1000000, default 10): messages in 5 s a client, 0 for no limit");
    assert_string_equal(helped("chat.guests"),
                        "chat.guests (0 or 1, default 1): 1 lets people chat without an account");
    assert_string_equal(
        helped("log.level"),
        "log.level (error, warning, info or debug, default info): the least important lines that are logged");
    assert_non_null(strstr(helped("http.names"), "(text, default empty)"));
    assert_non_null(strstr(helped("net.name"), "(text, default pipit)"));
}

static void only_whole_names_are_keys(void **state)
{
    (void)state;
    assert_int_equal(config_find(span_of("chat.rate")), 0);
    assert_int_equal(config_find((struct span){"chat.rate", 8}), -1);
    assert_int_equal(config_find(span_of("chat.rate ")), -1);
    assert_int_equal(config_find(span_of("")), -1);
}

static const char *range(const char *key)
{
    static char line[200];
    struct text t = text_in(line, sizeof line);
    config_range((size_t)config_find(span_of(key)), &t);
    return text_end(&t);
}

static void a_range_tells_whether_the_value_is_the_default(void **state)
{
    (void)state;
    assert_string_equal(range("ws.stall"), "1 to 3600; the default");
    assert_true(set("ws.stall", "31"));
    assert_string_equal(range("ws.stall"), "1 to 3600; default 30");
    assert_true(set("ws.stall", "30"));
    assert_string_equal(range("ws.stall"), "1 to 3600; the default");
    assert_true(set("chat.guests", "0"));
    assert_string_equal(range("chat.guests"), "0 or 1; default 1");
    assert_true(set("mail.tls", "none"));
    assert_string_equal(range("mail.tls"), "none, starttls or implicit; default starttls");
    assert_true(set("net.name", "lark"));
    assert_string_equal(range("net.name"), "text; default pipit");
    assert_true(set("mail.password", "sesame"));
    assert_string_equal(range("mail.password"), "secret text; default empty");
}

static void secrets_are_known(void **state)
{
    (void)state;
    unsigned secrets = 0;
    for (size_t i = 0; config_name(i) != NULL; i++)
        secrets += config_is_secret(i);
    assert_true(config_is_secret((size_t)config_find(span_of("mail.password"))));
    assert_true(config_is_secret((size_t)config_find(span_of("rpc.secret"))));
    assert_int_equal(secrets, 2);
}

static void a_syslog_server_is_a_name_or_an_address(void **state)
{
    (void)state;
    assert_true(set("log.host", "10.0.2.2"));
    assert_true(set("log.host", "logs.example.org"));
    static const char *const wrong[] = {"10.0.2.2:514", "udp://logs", "lo gs", "[::1]", "a@b", "l\xc3\xb6gs"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(set("log.host", wrong[i]));
        assert_string_equal(why, "log.host must be a name or an IPv4 address, or empty; the port is log.port.");
    }
    assert_string_equal(syslog_settings.host, "logs.example.org");
    assert_true(set("log.host", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_number_takes_its_range_and_nothing_else, defaults),
        cmocka_unit_test_setup(what_is_no_number_is_refused_and_changes_nothing, defaults),
        cmocka_unit_test_setup(the_log_level_has_names_and_numbers, defaults),
        cmocka_unit_test_setup(a_choice_is_named, defaults),
        cmocka_unit_test_setup(a_secret_is_never_shown, defaults),
        cmocka_unit_test_setup(what_stands_for_a_secret_changes_nothing, defaults),
        cmocka_unit_test_setup(it_is_known_what_was_set, defaults),
        cmocka_unit_test_setup(texts_are_checked, defaults),
        cmocka_unit_test_setup(a_text_fills_its_field_and_no_more, defaults),
        cmocka_unit_test_setup(a_shorter_text_leaves_nothing_of_the_longer, defaults),
        cmocka_unit_test_setup(a_text_has_no_control_bytes, defaults),
        cmocka_unit_test_setup(addresses_are_checked, defaults),
        cmocka_unit_test_setup(our_own_address_may_have_a_prefix, defaults),
        cmocka_unit_test_setup(a_host_name_is_one_label, defaults),
        cmocka_unit_test_setup(a_time_server_has_no_port, defaults),
        cmocka_unit_test_setup(an_unknown_key_is_answered_with_a_guess, defaults),
        cmocka_unit_test_setup(a_key_like_nothing_gets_no_guess, defaults),
        cmocka_unit_test_setup(a_sentence_that_does_not_fit_is_cut, defaults),
        cmocka_unit_test_setup(a_file_has_lines_comments_and_space, defaults),
        cmocka_unit_test_setup(a_wrong_line_is_named_and_ends_the_reading, defaults),
        cmocka_unit_test_setup(what_is_shown_can_be_read_again, defaults),
        cmocka_unit_test_setup(every_key_is_found_shown_and_helped, defaults),
        cmocka_unit_test_setup(help_tells_range_and_default, defaults),
        cmocka_unit_test_setup(only_whole_names_are_keys, defaults),
        cmocka_unit_test_setup(a_range_tells_whether_the_value_is_the_default, defaults),
        cmocka_unit_test_setup(secrets_are_known, defaults),
        cmocka_unit_test_setup(a_syslog_server_is_a_name_or_an_address, defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
