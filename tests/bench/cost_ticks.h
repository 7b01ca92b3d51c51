// The emulator's count of instructions: with -icount shift=N each takes 2^N ns of virtual time, and a chip's clock
// tells that time.
#ifndef PIPIT_COST_TICKS_H
#define PIPIT_COST_TICKS_H

#include "../../port/port.h"

#define COST_SHIFT 6 // 64 ns an instruction

#if defined(__riscv)

static inline uint64_t cost_nanoseconds(void)
{
    uint32_t high, low, again;
    do {
        __asm__ volatile("csrr %0, minstreth\n\tcsrr %1, minstret\n\tcsrr %2, minstreth"
                         : "=r"(high), "=r"(low), "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

#else // SysTick: QEMU's DWT reads 0

static inline uint64_t cost_nanoseconds(void)
{
    volatile uint32_t *const systick = (volatile uint32_t *)0xe000e010;
    uint64_t ms;
    uint32_t left;
    do {
        ms = port_now_ms();
        left = systick[2];
    } while (ms != port_now_ms());
    uint32_t ticks = systick[1] + 1; // a millisecond
    return ms * 1000000 + (uint64_t)(ticks - 1 - left) * 1000000 / ticks;
}

#endif

#endif
