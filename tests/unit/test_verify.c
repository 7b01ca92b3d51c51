// The verify service: codes, their spacing and their budget.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../port/text.h"
#include "../../services/verify/verify.h"
#include "machine.h"

static struct verify_reply get(const char *email)
{
    return verify_get_code(span_of(email), machine_now_ms);
}

static struct verify_reply get_numbered(uint32_t number)
{
    char email[32];
    struct text t = text_in(email, sizeof email);
    text_format(&t, "%u@example.org", (unsigned)number);
    return get(text_end(&t));
}

static uint32_t metric(const char *name, const char *labels)
{
    for (size_t i = 0; i < verify_service.metric_count; i++) {
        const struct metric *m = &verify_service.metrics[i];
        if (strcmp(m->name, name) == 0 && (labels == NULL || strcmp(m->labels, labels) == 0))
            return m->value != NULL ? *m->value : m->read();
    }
    fail_msg("no metric %s", name);
    return 0;
}

static uint32_t refused(const char *labels)
{
    return metric("pipit_verify_refused_total", labels);
}

// The service keeps its tables for good, so every test starts a day later. The start of a slot of the budget is met.
static int next_day(void **state)
{
    (void)state;
    codes_settings = (struct codes_settings){.ttl = 180, .tries = 5, .cooldown = 60};
    verify_settings.budget = 0;
    machine_has_entropy = true;
    machine_now_ms += 86400000 - machine_now_ms % 300000;
    return 0;
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(verify_settings.budget, 120);
}

static void a_code(void **state)
{
    (void)state;
    uint32_t made = metric("pipit_verify_codes_total", NULL);
    struct verify_reply reply = get("a@example.org");
    assert_int_equal(reply.error, VERIFY_OK);
    for (int i = 0; i < CODE_DIGITS; i++)
        assert_in_range(reply.code[i], '0', '9');
    assert_int_equal(metric("pipit_verify_codes_total", NULL) - made, 1);
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 1);
}

// Every code is as likely as any other: whole millions count, the tail of 2^32 does not.
static void from_numbers(void **state)
{
    (void)state;
    char code[CODE_DIGITS];
    static const struct {
        uint32_t random;
        const char *code;
    } rows[] = {{0, "000000"},           {1, "000001"},       {999999, "999999"},  {1000000, "000000"},
                {4293999999u, "999999"}, {4294000000u, NULL}, {4294967295u, NULL}, {123456789, "456789"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(verify_code_from(rows[i].random, code), rows[i].code != NULL);
        if (rows[i].code != NULL)
            assert_memory_equal(code, rows[i].code, CODE_DIGITS);
    }
}

// Chi-square over the digits at each place: 9 degrees of freedom, 27.9 is passed once in a thousand. The entropy of the
// tests is the same sequence in each run.
static void evenly_spread(void **state)
{
    (void)state;
    enum { CODES = 20000 };
    static uint32_t seen[CODE_DIGITS][10];
    codes_settings.cooldown = 0;
    for (int i = 0; i < CODES; i++) {
        struct verify_reply reply = get("a@example.org");
        assert_int_equal(reply.error, VERIFY_OK);
        for (int place = 0; place < CODE_DIGITS; place++)
            seen[place][reply.code[place] - '0']++;
    }
    for (int place = 0; place < CODE_DIGITS; place++) {
        double chi = 0, expected = CODES / 10.0;
        for (int digit = 0; digit < 10; digit++)
            chi += (seen[place][digit] - expected) * (seen[place][digit] - expected) / expected;
        assert_true(chi < 27.9);
        assert_true(chi > 0.5);
    }
}

static void cooldown(void **state)
{
    (void)state;
    uint32_t before = refused("reason=\"cooldown\"");
    assert_int_equal(get("a@example.org").error, VERIFY_OK);
    machine_now_ms += 59999;
    struct verify_reply reply = get("A@example.org");
    assert_int_equal(reply.error, VERIFY_TOO_MANY);
    assert_int_equal(reply.retry_after, 1);
    assert_int_equal(get("b@example.org").error, VERIFY_OK);
    machine_now_ms += 1;
    assert_int_equal(get("a@example.org").error, VERIFY_OK);
    assert_int_equal(refused("reason=\"cooldown\"") - before, 1);
}

static void bad_email(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a", "a@", "@b", "a@b@c", "a@b\r\nDATA", "<a@b>", "a b@c", "a@\xFF"};
    uint32_t before = refused("reason=\"email\"");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(get(bad[i]).error, VERIFY_BAD_EMAIL);
    assert_int_equal(refused("reason=\"email\"") - before, sizeof bad / sizeof bad[0]);
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 0);
}

// Without entropy nothing is made, and the email may ask again as soon as there is some.
static void no_entropy(void **state)
{
    (void)state;
    machine_has_entropy = false;
    struct verify_reply reply = get("a@example.org");
    assert_int_equal(reply.error, VERIFY_INTERNAL);
    assert_memory_equal(reply.code, "\0\0\0\0\0\0", CODE_DIGITS);
    machine_has_entropy = true;
    assert_int_equal(get("a@example.org").error, VERIFY_OK);
}

/// Budget ///

static void budget(void **state)
{
    (void)state;
    verify_settings.budget = 10;
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(get_numbered(i).error, VERIFY_OK);
    struct verify_reply reply = get_numbered(10);
    assert_int_equal(reply.error, VERIFY_TOO_MANY);
    assert_int_equal(reply.retry_after, 3900);
    machine_now_ms += 3899999;
    assert_int_equal(get_numbered(10).retry_after, 1);
    machine_now_ms += 1;
    assert_int_equal(get_numbered(10).error, VERIFY_OK);
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 1);
}

// Spent evenly it comes back evenly; retry_after names the moment exactly.
static void budget_comes_back(void **state)
{
    (void)state;
    verify_settings.budget = 6;
    for (uint32_t i = 0; i < 3; i++) {
        get_numbered(2 * i);
        get_numbered(2 * i + 1);
        machine_now_ms += 300000;
    }
    struct verify_reply reply = get_numbered(6);
    assert_int_equal(reply.error, VERIFY_TOO_MANY);
    assert_int_equal(reply.retry_after, 3000);
    verify_settings.budget = 4;
    assert_int_equal(get_numbered(6).retry_after, 3300);
    verify_settings.budget = 6;
    machine_now_ms += 3000000;
    assert_int_equal(get_numbered(6).error, VERIFY_OK);
    assert_int_equal(get_numbered(7).error, VERIFY_OK);
    assert_int_equal(get_numbered(8).error, VERIFY_TOO_MANY);
}

// Whatever the rhythm of the asking, no hour has more than the budget, and an hour of asking is not starved either.
static void no_hour_has_more(void **state)
{
    (void)state;
    enum { STEP = 7000, STEPS = 4000, HOUR = 3600000 };
    static uint64_t times[STEPS];
    size_t count = 0, oldest = 0;
    verify_settings.budget = 20;
    for (uint32_t i = 0; i < STEPS; i++, machine_now_ms += STEP) {
        if (get_numbered(i).error != VERIFY_OK)
            continue;
        times[count++] = machine_now_ms;
        while (machine_now_ms - times[oldest] >= HOUR)
            oldest++;
        assert_true(count - oldest <= 20);
    }
    assert_true(count >= 20u * STEPS * STEP / 3900000u);
}

static void no_budget(void **state)
{
    (void)state;
    verify_settings.budget = 0;
    for (uint32_t i = 0; i < CODES_MAX; i++)
        assert_int_equal(get_numbered(i).error, VERIFY_OK);
}

static void table_full(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CODES_MAX; i++)
        assert_int_equal(get_numbered(i).error, VERIFY_OK);
    struct verify_reply reply = get_numbered(CODES_MAX);
    assert_int_equal(reply.error, VERIFY_TOO_MANY);
    assert_int_equal(reply.retry_after, 60);
    machine_now_ms += 60000;
    assert_int_equal(get_numbered(CODES_MAX).error, VERIFY_OK);
}

#define TEST(NAME) cmocka_unit_test_setup(NAME, next_day)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults), TEST(a_code),    TEST(from_numbers),
        TEST(evenly_spread),        TEST(cooldown),  TEST(bad_email),
        TEST(no_entropy),           TEST(budget),    TEST(budget_comes_back),
        TEST(no_hour_has_more),     TEST(no_budget), TEST(table_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
