// QEMU's RISC-V machine "virt": console and reset. It has no watchdog.
#include "../common/board.h"
#include "virt.h"

const char board_name[] = "virt-rv32";

/// Console: a 16550 ///

#define UART_DATA REGISTER8(UART_BASE + 0)
#define UART_IER  REGISTER8(UART_BASE + 1)
#define UART_FCR  REGISTER8(UART_BASE + 2)
#define UART_LCR  REGISTER8(UART_BASE + 3)
#define UART_LSR  REGISTER8(UART_BASE + 5)

#define IER_RECEIVED 1u
#define FCR_FIFOS    7u // on, and both cleared
#define LCR_8N1      3u
#define LSR_RECEIVED 1u
#define LSR_ROOM     (1u << 5)

void board_start(void)
{
    UART_LCR = LCR_8N1;
    UART_FCR = FCR_FIFOS;
    UART_IER = IER_RECEIVED;
    interrupt_enable(INTERRUPT_UART);
}

void board_write(char byte)
{
    while ((UART_LSR & LSR_ROOM) == 0)
        ;
    UART_DATA = (uint8_t)byte;
}

static void uart_interrupt(void)
{
    while (UART_LSR & LSR_RECEIVED)
        console_received((char)UART_DATA);
}

void board_interrupt(unsigned number)
{
    if (number == INTERRUPT_UART)
        uart_interrupt();
    else
        ethernet_interrupt();
}

/// Reset ///

#define FINISHER_RESET 0x7777u

void board_feed(void)
{
}

const char *board_reset_cause(void)
{
    return NULL;
}

_Noreturn void board_reset(void)
{
    TEST_FINISHER = FINISHER_RESET;
    for (;;)
        ;
}
