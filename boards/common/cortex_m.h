// ARMv7-M (DDI 0403): what a Cortex-M board gives to cortex_m.c, and the registers that its drivers need.
#ifndef PIPIT_CORTEX_M_H
#define PIPIT_CORTEX_M_H

#include "board.h"

#define REGISTER(ADDRESS) (*(volatile uint32_t *)(ADDRESS))

// The processor's clock in Hz.
extern const uint32_t board_clock_hz;

// Called for external interrupt `number`, as the chip's data sheet counts them. False when it is the watchdog's last
// warning: then what the processor was doing is printed, and it is reset. (A watchdog on the NMI does the same.)
bool board_interrupt(unsigned number);

// Lets an external interrupt in.
static inline void interrupt_enable(unsigned number)
{
    REGISTER(0xe000e100 + 4 * (number / 32)) = 1u << (number % 32); // NVIC_ISER
}

#endif
