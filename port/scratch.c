#include "scratch.h"
#include "../app/limits.h"
#include "port.h"
#include <stdint.h>

static _Alignas(SCRATCH_ALIGNMENT) uint8_t scratch_bytes[SCRATCH_BYTES];
static size_t used;

_Static_assert(SCRATCH_BYTES % SCRATCH_ALIGNMENT == 0, "the end of the scratch memory could not be taken");

void *scratch_take(size_t size)
{
    size_t rounded = (size + SCRATCH_ALIGNMENT - 1) & ~(size_t)(SCRATCH_ALIGNMENT - 1);
    if (rounded < size || rounded > sizeof scratch_bytes - used)
        port_reboot("scratch memory was not given back");
    void *taken = scratch_bytes + used;
    used += rounded;
    return taken;
}

void scratch_give(void *taken)
{
    used = (size_t)((uint8_t *)taken - scratch_bytes);
}
