// MPS2 with application note 385 (ARM DAI 0385): console, watchdog, reset. Its clock is fixed.
#include "../common/board.h"
#include "mps2_an385.h"

const char board_name[] = "mps2-an385";
const uint32_t board_clock_hz = 25000000;

/// Console: CMSDK UART 0 at 115,200 baud (DDI 0479, section 4.3) ///

#define STATE_TX_FULL 1u
#define STATE_RX_FULL 2u
#define CTRL_TX       1u
#define CTRL_RX       2u
#define CTRL_RX_INT   8u
#define INT_RX        2u
#define BAUD          115200u

static void uart_start(void)
{
    UART0_BAUDDIV = board_clock_hz / BAUD;
    UART0_CTRL = CTRL_TX | CTRL_RX | CTRL_RX_INT;
    interrupt_enable(INTERRUPT_UART0_RX);
}

void board_write(char byte)
{
    while (UART0_STATE & STATE_TX_FULL)
        ;
    UART0_DATA = (uint8_t)byte;
}

static void uart_interrupt(void)
{
    UART0_INTCLEAR = INT_RX;
    while (UART0_STATE & STATE_RX_FULL)
        console_received((char)UART0_DATA);
}

/// Watchdog (DDI 0479, section 4.5): its warning is the NMI ///

#define WATCHDOG_TICKS 100000000u // 4 s to its warning, 8 s to its reset
#define CTRL_WARN      1u
#define CTRL_RESET     2u

void board_feed(void)
{
    WDOG_LOAD = WATCHDOG_TICKS;
    if ((WDOG_CONTROL & CTRL_WARN) == 0)
        WDOG_CONTROL = CTRL_WARN | CTRL_RESET;
}

/// Start and reset ///

void board_start(void)
{
    uart_start();
}

bool board_interrupt(unsigned number)
{
    if (number == INTERRUPT_UART0_RX)
        uart_interrupt();
    if (number == INTERRUPT_ETHERNET)
        ethernet_interrupt();
    return true;
}

const char *board_reset_cause(void)
{
    return NULL;
}
