// RAM at the start, and how much of the stack was ever used.
#include "../../port/port.h"
#include "board.h"

#define PAINT 0x5aa5f00du // what nobody leaves on a stack by accident

// The linker script's addresses are ends of one piece of memory, whatever C thinks of them.
static size_t words_between(const uint32_t *begin, const void *end)
{
    return ((uintptr_t)end - (uintptr_t)begin) / sizeof *begin;
}

void memory_prepare(const void *used)
{
    for (size_t i = 0; i < words_between(data_begin, data_end); i++)
        data_begin[i] = data_from[i];
    for (size_t i = 0; i < words_between(bss_begin, bss_end); i++)
        bss_begin[i] = 0;
    for (size_t i = 0; i < words_between(stack_bottom, used); i++)
        stack_bottom[i] = PAINT;
}

size_t port_stack_size(void)
{
    return words_between(stack_bottom, stack_top) * sizeof *stack_bottom;
}

size_t port_stack_used(void)
{
    size_t untouched = 0;
    while (untouched < words_between(stack_bottom, stack_top) && stack_bottom[untouched] == PAINT)
        untouched++;
    return port_stack_size() - untouched * sizeof *stack_bottom;
}
