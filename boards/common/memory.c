// RAM at the start, and how much of the stack was ever used.
#include "../../port/port.h"
#include "board.h"

#define PAINT 0x5aa5f00du // what nobody leaves on a stack by accident

void memory_prepare(const void *used)
{
    const uint32_t *from = data_from;
    for (uint32_t *to = data_begin; to < data_end; to++)
        *to = *from++;
    for (uint32_t *to = bss_begin; to < bss_end; to++)
        *to = 0;
    for (uint32_t *to = stack_bottom; to < (const uint32_t *)used; to++)
        *to = PAINT;
}

size_t port_stack_size(void)
{
    return (size_t)(stack_top - stack_bottom) * sizeof *stack_top;
}

size_t port_stack_used(void)
{
    const uint32_t *at = stack_bottom;
    while (at < stack_top && *at == PAINT)
        at++;
    return (size_t)(stack_top - at) * sizeof *at;
}
