#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../port/net.h"
#include "../../services/gateway/guard.h"
#include <string.h>

static struct span field(const char *text)
{
    return text == NULL ? (struct span){0} : span_of(text);
}

#define NAMES   "chat.example, other.example  third.example"
#define ORIGINS "https://app.example,http://[::1]:3000 chrome-extension://abc"

static const struct {
    const char *host;
    const char *origin;
    enum guard_verdict verdict;
} cases[] = {
    // Host alone
    {"127.0.0.1", NULL, GUARD_PASS},
    {"10.0.2.15:8080", NULL, GUARD_PASS},
    {"255.255.255.255:1", NULL, GUARD_PASS},
    {"[::1]", NULL, GUARD_PASS},
    {"[::1]:8080", NULL, GUARD_PASS},
    {"[fe80::1:2]:80", NULL, GUARD_PASS},
    {"[::ffff:1.2.3.4]", NULL, GUARD_PASS},
    {"localhost", NULL, GUARD_PASS},
    {"LocalHost:8080", NULL, GUARD_PASS},
    {"pipit", NULL, GUARD_PASS},
    {"pipit.local:80", NULL, GUARD_PASS},
    {"pipit:", NULL, GUARD_PASS}, // RFC 3986: a port may be empty
    {"chat.example", NULL, GUARD_PASS},
    {"CHAT.EXAMPLE:443", NULL, GUARD_PASS},
    {"other.example", NULL, GUARD_PASS},
    {"third.example:9", NULL, GUARD_PASS},
    {NULL, NULL, GUARD_PASS}, // HTTP/1.0
    {"evil.example", NULL, GUARD_FOREIGN_HOST},
    {"chat.example.evil.example", NULL, GUARD_FOREIGN_HOST},
    {"xchat.example", NULL, GUARD_FOREIGN_HOST},
    {"chat", NULL, GUARD_FOREIGN_HOST},
    {"localhost.evil.example", NULL, GUARD_FOREIGN_HOST},
    {"127.0.0.1.evil.example", NULL, GUARD_FOREIGN_HOST},
    {"1.2.3", NULL, GUARD_FOREIGN_HOST},
    {"1.2.3.4.5", NULL, GUARD_FOREIGN_HOST},
    {"1.2.3.256", NULL, GUARD_FOREIGN_HOST},
    {"1.2.3.", NULL, GUARD_FOREIGN_HOST},
    {"1.2.3.4.", NULL, GUARD_FOREIGN_HOST},
    {"1..3.4", NULL, GUARD_FOREIGN_HOST},
    {"0001.2.3.4", NULL, GUARD_FOREIGN_HOST},
    {"1.2.3.4a", NULL, GUARD_FOREIGN_HOST},
    {"", NULL, GUARD_FOREIGN_HOST},
    {":80", NULL, GUARD_FOREIGN_HOST},
    {"localhost:0", NULL, GUARD_FOREIGN_HOST},
    {"localhost:65536", NULL, GUARD_FOREIGN_HOST},
    {"localhost:80x", NULL, GUARD_FOREIGN_HOST},
    {"localhost:80:80", NULL, GUARD_FOREIGN_HOST},
    {"user@localhost", NULL, GUARD_FOREIGN_HOST},
    {"localhost/", NULL, GUARD_FOREIGN_HOST},
    {"local host", NULL, GUARD_FOREIGN_HOST},
    {"::1", NULL, GUARD_FOREIGN_HOST},
    {"[::1", NULL, GUARD_FOREIGN_HOST},
    {"[]", NULL, GUARD_FOREIGN_HOST},
    {"[evil.example]", NULL, GUARD_FOREIGN_HOST},
    {"[1.2.3.4]", NULL, GUARD_FOREIGN_HOST},
    {"[::1]x", NULL, GUARD_FOREIGN_HOST},
    {"[::1%25eth0]", NULL, GUARD_FOREIGN_HOST},
    {"chat.example,", NULL, GUARD_FOREIGN_HOST},
    {",", NULL, GUARD_FOREIGN_HOST},

    // Origin beside it
    {"127.0.0.1:8080", "http://127.0.0.1:8080", GUARD_PASS},
    {"127.0.0.1", "http://127.0.0.1", GUARD_PASS},
    {"127.0.0.1:80", "http://127.0.0.1", GUARD_PASS},
    {"127.0.0.1", "http://127.0.0.1:80", GUARD_PASS},
    {"localhost", "HTTP://LOCALHOST", GUARD_PASS},
    {"chat.example", "https://chat.example", GUARD_PASS},     // behind a TLS proxy
    {"chat.example:443", "https://chat.example", GUARD_PASS}, // likewise
    {"[::1]:8080", "http://[::1]:8080", GUARD_PASS},
    {"localhost", "https://app.example", GUARD_PASS}, // listed
    {"localhost", "https://APP.example", GUARD_PASS},
    {"localhost", "http://[::1]:3000", GUARD_PASS},
    {"localhost", "chrome-extension://abc", GUARD_PASS},
    {NULL, "https://app.example", GUARD_PASS},
    {"127.0.0.1:8080", "http://127.0.0.1", GUARD_FOREIGN_ORIGIN},
    {"127.0.0.1:8080", "http://127.0.0.1:8081", GUARD_FOREIGN_ORIGIN},
    {"127.0.0.1:80", "https://127.0.0.1", GUARD_FOREIGN_ORIGIN},
    {"127.0.0.1", "http://localhost", GUARD_FOREIGN_ORIGIN},
    {"localhost", "http://evil.example", GUARD_FOREIGN_ORIGIN},
    {"localhost", "null", GUARD_FOREIGN_ORIGIN},
    {"localhost", "", GUARD_FOREIGN_ORIGIN},
    {"localhost", "localhost", GUARD_FOREIGN_ORIGIN},
    {"localhost", "http://", GUARD_FOREIGN_ORIGIN},
    {"localhost", "http:/", GUARD_FOREIGN_ORIGIN},
    {"localhost", "http://localhost/", GUARD_FOREIGN_ORIGIN},
    {"localhost", "http://localhost.evil.example", GUARD_FOREIGN_ORIGIN},
    {"localhost", "http://localhost http://evil.example", GUARD_FOREIGN_ORIGIN},
    {"localhost", "ftp://localhost", GUARD_FOREIGN_ORIGIN},
    {"localhost", "https://app.example.evil.example", GUARD_FOREIGN_ORIGIN},
    {"localhost", "https://app.example:444", GUARD_FOREIGN_ORIGIN},
    {"localhost", "http://app.example", GUARD_FOREIGN_ORIGIN},
    {"localhost", "https://app.example,http://[::1]:3000", GUARD_FOREIGN_ORIGIN},
    {"localhost", "chrome-extension://abcd", GUARD_FOREIGN_ORIGIN},
    {NULL, "http://localhost", GUARD_FOREIGN_ORIGIN},
    {"evil.example", "http://evil.example", GUARD_FOREIGN_HOST},
    {"evil.example", "https://app.example", GUARD_FOREIGN_HOST},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum guard_verdict verdict =
            guard_check(field(cases[i].host), field(cases[i].origin), false, span_of(NAMES), span_of(ORIGINS));
        if (verdict != cases[i].verdict)
            fail_msg("Host %s, Origin %s: %d instead of %d", cases[i].host, cases[i].origin, verdict, cases[i].verdict);
    }
}

static void test_empty_lists(void **state)
{
    (void)state;
    struct span none = span_of("");
    assert_int_equal(guard_check(span_of("chat.example"), field(NULL), false, none, none), GUARD_FOREIGN_HOST);
    assert_int_equal(guard_check(span_of("localhost"), span_of("https://app.example"), false, none, none),
                     GUARD_FOREIGN_ORIGIN);
    assert_int_equal(guard_check(span_of("localhost"), span_of(""), false, none, span_of(" , ,")),
                     GUARD_FOREIGN_ORIGIN);
    assert_int_equal(guard_check(span_of("localhost"), field(NULL), false, none, none), GUARD_PASS);
}

static void test_our_name_is_a_setting(void **state)
{
    (void)state;
    struct span none = span_of("");
    strcpy(net_settings.name, "Kitchen");
    assert_int_equal(guard_check(span_of("kitchen"), field(NULL), false, none, none), GUARD_PASS);
    assert_int_equal(guard_check(span_of("KITCHEN.local:80"), field(NULL), false, none, none), GUARD_PASS);
    assert_int_equal(guard_check(span_of("kitchen.localx"), field(NULL), false, none, none), GUARD_FOREIGN_HOST);
    assert_int_equal(guard_check(span_of("kitchen.evil.local"), field(NULL), false, none, none), GUARD_FOREIGN_HOST);
    assert_int_equal(guard_check(span_of("kitche"), field(NULL), false, none, none), GUARD_FOREIGN_HOST);
    assert_int_equal(guard_check(span_of("pipit.local"), field(NULL), false, none, none), GUARD_FOREIGN_HOST);
    strcpy(net_settings.name, "pipit");
}

static void test_authority(void **state)
{
    (void)state;
    struct guard_authority a;
    assert_true(guard_authority(span_of("[fe80::1]:8080"), &a));
    assert_true(a.bracketed);
    assert_int_equal(a.port, 8080);
    assert_true(span_equal(a.host, span_of("fe80::1")));
    assert_true(guard_authority(span_of("pipit.local"), &a));
    assert_false(a.bracketed);
    assert_int_equal(a.port, 0);
    assert_true(span_equal(a.host, span_of("pipit.local")));
    assert_false(guard_authority(span_of(""), &a));
    char longest[255];
    memset(longest, 'a', sizeof longest);
    assert_true(guard_authority((struct span){longest, 253}, &a));
    assert_false(guard_authority((struct span){longest, 254}, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_empty_lists),
        cmocka_unit_test(test_our_name_is_a_setting),
        cmocka_unit_test(test_authority),
    };
    strcpy(net_settings.name, "pipit");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
