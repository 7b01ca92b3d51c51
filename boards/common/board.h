// Between a board and what all boards share.
//
// A board's folder gives the functions of the first part, its Ethernet interface (port_netif_init(), port_netif_poll())
// and its linker script; boards/common/ and the processor's file make port.h of them. port/README.md tells how to add a
// board.
#ifndef PIPIT_BOARD_H
#define PIPIT_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// From the board (boards/NAME/) ///

// For the console's greeting: "lm3s6965evb".
extern const char board_name[];

// Clocks, pins and the console's UART with its receive interrupt: whatever must be there before anything else runs.
// Interrupts are off, and stay so until machine_start().
void board_start(void);

// Sends one byte of the console, waiting for room. Works with interrupts off, and while the machine is failing.
void board_write(char byte);

// The watchdog, where there is one: armed at the first call, and fed by it. It comes once a turn, after every service
// has had its step. Without a call for several seconds it must reset the machine.
void board_feed(void);

// What the chip knows of the last reset: "watchdog", "brown-out"; NULL when it does not tell.
const char *board_reset_cause(void);

// 32 bytes that this very device alone has, and that it will never give again; false where there are none. Once a life.
bool board_seed(uint8_t seed[32]);

// Resets the chip. Works while the machine is failing.
_Noreturn void board_reset(void);

/// From the processor's file (boards/common/cortex_m.c, or the board's own) ///

// Starts the clock and lets interrupts in.
void machine_start(void);

// Called by interrupt handlers for whatever must end a sleep.
void machine_wake(void);

// Prints what has failed with the registers by name, and what the machine was doing; then resets. Called from handlers
// of faults, with interrupts off and the stack reset.
struct fault_register {
    const char *name;
    uint32_t value;
};
_Noreturn void fault_report(const char *what, const struct fault_register *registers, size_t count);

/// From boards/common ///

// A typed byte, told by the UART's interrupt handler.
void console_received(char byte);

// The linker script's: the stack's ends, and the initial contents of what has any.
extern uint32_t stack_bottom[], stack_top[];
extern uint32_t data_from[], data_begin[], data_end[], bss_begin[], bss_end[];

// Fills what C expects to find in RAM, and paints the stack below `used`. The first thing that a reset does.
void memory_prepare(const void *used);

// main(), after a reset. Never returns.
_Noreturn void board_main(void);

// Memory that a reset leaves alone. Not even a start-up clears it: whoever reads it checks it.
#define RETAINED(NAME) __attribute__((section(".noinit." #NAME)))

#endif
