#include "retained.h"
#include "../../port/port.h"
#include "../../port/text.h"
#include "board.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define MARK 0x50695069u // RAM that has lost its power hardly holds this, and the check sum still less

struct legacy {
    uint32_t has_seed;
    uint8_t seed[SEED_BYTES];
    char reason[80]; // empty: the machine was running
};

static struct {
    uint32_t mark;
    uint32_t check; // of what is left
    struct legacy left;
} retained RETAINED(retained);

static char reason[100];

// FNV-1a
static uint32_t check_sum(void)
{
    const uint8_t *at = (const uint8_t *)&retained.left;
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < sizeof retained.left; i++)
        sum = (sum ^ at[i]) * 16777619u;
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
    else if (retained.left.reason[0] != '\0')
        text_string(&t, retained.left.reason);
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
        retained.left.reason[sizeof retained.left.reason - 1] = '\0';
    else
        memset(&retained, 0, sizeof retained);
    read_reason(valid);
    retained.left.reason[0] = '\0';
    seal();
}

void retained_reason(const char *why)
{
    struct text t = text_in(retained.left.reason, sizeof retained.left.reason);
    text_string(&t, why);
    text_end(&t);
    seal();
}

bool retained_seed(uint8_t seed[SEED_BYTES])
{
    bool has = retained.left.has_seed == 1;
    memcpy(seed, retained.left.seed, SEED_BYTES);
    mbedtls_platform_zeroize(retained.left.seed, SEED_BYTES);
    retained.left.has_seed = 0;
    seal();
    return has;
}

void retained_leave_seed(const uint8_t seed[SEED_BYTES])
{
    memcpy(retained.left.seed, seed, SEED_BYTES);
    retained.left.has_seed = 1;
    seal();
}

const char *port_reset_reason(void)
{
    return reason;
}
