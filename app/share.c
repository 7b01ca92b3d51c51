#include "share.h"
#include "../port/port.h"
#include "../services/service.h"
#include <stdbool.h>

struct share share_phases[SHARE_PHASES];
uint32_t share_phase_longest_us[SHARE_PHASES];
const char *const share_phase_names[SHARE_PHASES] = {
    [SHARE_FRAMES] = "frames",   [SHARE_TIMERS] = "timers", [SHARE_CONNECTIONS] = "connections",
    [SHARE_CONSOLE] = "console", [SHARE_OUTPUT] = "output",
};

static uint32_t began_ms;

uint64_t share_all_ms(void)
{
    return port_now_ms();
}

uint32_t share_interval_ms(void)
{
    return (uint32_t)share_all_ms() - began_ms;
}

// 32 bits hold what is left: whoever had more than 71 minutes is divided first, and all after 49 days.
static uint32_t per_mille(uint32_t ms, uint64_t of_ms)
{
    if (of_ms == 0)
        return 0;
    bool fits = of_ms <= UINT32_MAX && ms <= UINT32_MAX / 1000;
    return fits ? ms * 1000 / (uint32_t)of_ms : ms / (uint32_t)(of_ms / 1000);
}

uint32_t share_now(const struct share *share)
{
    uint32_t ms = share_interval_ms();
    return ms == 0 ? 0 : share->us / ms;
}

uint32_t share_in_all(const struct share *share)
{
    return per_mille(share->ms + share->us / 1000, share_all_ms());
}

static void fold(struct share *share)
{
    share->ms += share->us / 1000;
    share->us = 0;
}

void share_begin(void)
{
    for (size_t i = 0; i < SHARE_PHASES; i++)
        fold(&share_phases[i]);
    for (size_t i = 0; i < service_count; i++)
        fold(&share_services[i]);
    began_ms = (uint32_t)share_all_ms();
}
