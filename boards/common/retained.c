#include "retained.h"
#include "../../port/port.h"
#include "../../port/text.h"
#include "board.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define MARK 0x50695069u // RAM that has lost its power hardly holds this, and the check sum still less

static struct {
    uint32_t mark;
    uint32_t check; // of everything behind it
    uint32_t has_seed;
    uint8_t seed[SEED_BYTES];
    char reason[80]; // empty: the machine was running
} retained RETAINED;

static char reason[100];

// FNV-1a
static uint32_t check_sum(void)
{
    const uint8_t *at = (const uint8_t *)&retained.has_seed;
    const uint8_t *end = (const uint8_t *)(&retained + 1);
    uint32_t sum = 2166136261u;
    for (; at < end; at++)
        sum = (sum ^ *at) * 16777619u;
    return sum;
}

static void seal(void)
{
    retained.mark = MARK;
    retained.check = check_sum();
}

static void read_reason(bool valid)
{
    struct text t = text_in(reason, sizeof reason);
    const char *cause = board_reset_cause();
    if (!valid)
        text_string(&t, "power on");
    else if (retained.reason[0] != '\0')
        text_string(&t, retained.reason);
    else
        text_string(&t, "reset from outside, or by the watchdog");
    if (cause != NULL)
        text_format(&t, " (%s)", cause);
    text_end(&t);
}

void retained_begin(void)
{
    bool valid = retained.mark == MARK && retained.check == check_sum();
    if (valid)
        retained.reason[sizeof retained.reason - 1] = '\0';
    else
        memset(&retained, 0, sizeof retained);
    read_reason(valid);
    retained.reason[0] = '\0';
    seal();
}

void retained_reason(const char *why)
{
    struct text t = text_in(retained.reason, sizeof retained.reason);
    text_string(&t, why);
    text_end(&t);
    seal();
}

bool retained_seed(uint8_t seed[SEED_BYTES])
{
    bool has = retained.has_seed == 1;
    memcpy(seed, retained.seed, SEED_BYTES);
    mbedtls_platform_zeroize(retained.seed, SEED_BYTES);
    retained.has_seed = 0;
    seal();
    return has;
}

void retained_leave_seed(const uint8_t seed[SEED_BYTES])
{
    memcpy(retained.seed, seed, SEED_BYTES);
    retained.has_seed = 1;
    seal();
}

const char *port_reset_reason(void)
{
    return reason;
}
