#include "verify.h"
#include "../../port/log.h"
#include "../../port/port.h"
#include "../users/users.h"
#include <mbedtls/platform_util.h>

struct verify_settings verify_settings = {.budget = 120};

// Only the spacing is kept here: the one who asked keeps the code and checks it.
static struct codes spacing;

static struct {
    uint32_t made;
    uint32_t bad_email;
    uint32_t too_soon;
    uint32_t over_budget;
    uint32_t full;
    uint32_t no_entropy;
} counters;

/// Budget ///

// Codes are counted by slots of five minutes. The slot that runs and the twelve before it cover any hour that ends
// now, so no hour has more codes than the budget allows.
#define SLOT_MS 300000u
#define SLOTS   13u

static struct {
    uint64_t newest; // number of the slot that runs, since the clock's start
    uint32_t made[SLOTS];
} budget;

static void budget_move_on(uint64_t now_ms)
{
    uint64_t slot = now_ms / SLOT_MS;
    for (uint32_t i = 0; i < SLOTS && budget.newest < slot; i++)
        budget.made[++budget.newest % SLOTS] = 0;
    if (budget.newest < slot)
        budget.newest = slot;
}

static uint64_t budget_spent(void)
{
    uint64_t spent = 0;
    for (uint32_t i = 0; i < SLOTS; i++)
        spent += budget.made[i];
    return spent;
}

// The moment, in ms, when enough of the old codes no longer count for one more to be made. The budget is spent.
static uint64_t budget_free_at(void)
{
    uint64_t spent = budget_spent();
    uint64_t slot = budget.newest < SLOTS ? 0 : budget.newest - (SLOTS - 1);
    for (; slot < budget.newest; slot++) {
        spent -= budget.made[slot % SLOTS];
        if (spent < verify_settings.budget)
            break;
    }
    return (slot + SLOTS) * SLOT_MS;
}

// 0 when there is budget for a code, else the seconds until there is.
static uint32_t budget_wait(uint64_t now_ms)
{
    budget_move_on(now_ms);
    if (verify_settings.budget == 0 || budget_spent() < verify_settings.budget)
        return 0;
    return (uint32_t)((budget_free_at() - now_ms + 999) / 1000);
}

/// Codes ///

// 2^32 holds 4294 whole millions.
bool verify_code_from(uint32_t random, char code[CODE_DIGITS])
{
    if (random >= 4294000000u)
        return false;
    for (int i = CODE_DIGITS - 1; i >= 0; i--) {
        code[i] = (char)('0' + random % 10);
        random /= 10;
    }
    return true;
}

// One number in 4,400 is thrown away; a source that gives nothing else is stuck.
static bool make_code(char code[CODE_DIGITS])
{
    uint32_t random = 0;
    bool made = false;
    for (int i = 0; i < 16 && !made; i++)
        made = port_entropy(&random, sizeof random) && verify_code_from(random, code);
    mbedtls_platform_zeroize(&random, sizeof random);
    return made;
}

static struct verify_reply refuse(uint32_t *counter, enum verify_error error, uint32_t retry_after)
{
    ++*counter;
    return (struct verify_reply){.error = error, .retry_after = retry_after};
}

static struct verify_reply refuse_spacing(enum codes_error error, uint32_t retry_after)
{
    if (error == CODES_TOO_SOON)
        return refuse(&counters.too_soon, VERIFY_TOO_MANY, retry_after);
    log_line(LOG_WARNING, "verify", "codes for %u emails are under way, no more are made", (unsigned)CODES_MAX);
    return refuse(&counters.full, VERIFY_TOO_MANY, codes_settings.cooldown > 0 ? codes_settings.cooldown : 1);
}

static struct verify_reply hand_over(struct span email, uint64_t now_ms)
{
    struct verify_reply reply = {.error = VERIFY_OK};
    if (!make_code(reply.code)) {
        codes_withdraw(&spacing, email, now_ms);
        log_line(LOG_ERROR, "verify", "no entropy: no code can be made");
        return refuse(&counters.no_entropy, VERIFY_INTERNAL, 0);
    }
    counters.made++;
    budget.made[budget.newest % SLOTS]++;
    return reply;
}

struct verify_reply verify_get_code(struct span email, uint64_t now_ms)
{
    if (users_check_email(email) != NULL)
        return refuse(&counters.bad_email, VERIFY_BAD_EMAIL, 0);
    uint32_t retry_after = 0;
    enum codes_error error = codes_ask(&spacing, email, now_ms, &retry_after);
    if (error != CODES_OK)
        return refuse_spacing(error, retry_after);
    retry_after = budget_wait(now_ms);
    if (retry_after == 0)
        return hand_over(email, now_ms);
    codes_withdraw(&spacing, email, now_ms);
    return refuse(&counters.over_budget, VERIFY_TOO_MANY, retry_after);
}

/// Service ///

static uint32_t emails_cooling(void)
{
    return codes_count(&spacing, port_now_ms());
}

#define REFUSED      "pipit_verify_refused_total"
#define REFUSED_HELP "Verification codes refused, by reason."

static const struct metric metrics[] = {
    {"pipit_verify_codes_total", NULL, "counter", "Verification codes made.", &counters.made, NULL},
    {REFUSED, "reason=\"email\"", "counter", REFUSED_HELP, &counters.bad_email, NULL},
    {REFUSED, "reason=\"cooldown\"", "counter", REFUSED_HELP, &counters.too_soon, NULL},
    {REFUSED, "reason=\"budget\"", "counter", REFUSED_HELP, &counters.over_budget, NULL},
    {REFUSED, "reason=\"full\"", "counter", REFUSED_HELP, &counters.full, NULL},
    {REFUSED, "reason=\"entropy\"", "counter", REFUSED_HELP, &counters.no_entropy, NULL},
    {"pipit_verify_emails_cooling", NULL, "gauge", "Emails that may not ask for another code yet.", NULL,
     emails_cooling},
};

const struct service verify_service = {
    .name = "verify",
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
