// Wall time: what SNTP has told, carried on by the monotonic clock.
#include "../../port/port.h"

static uint64_t epoch_ms; // wall time at port_now_ms() == 0; 0 while nobody has told

uint64_t port_wall_ms(void)
{
    return epoch_ms == 0 ? 0 : epoch_ms + port_now_ms();
}

void port_wall_set(uint64_t ms)
{
    epoch_ms = ms - port_now_ms();
}
