// LM3S6965 (data sheet DS-LM3S6965): clocks, console, watchdog, reset.
#include "../common/board.h"
#include "../common/cortex_m.h"
#include "lm3s6965.h"

const char board_name[] = "lm3s6965evb";
const uint32_t board_clock_hz = 50000000;

/// Clock: the main oscillator's 8 MHz through the PLL, 200 MHz divided by 4 (section 5.2.4) ///

#define RCC_SYSDIV_4  (3u << 23)
#define RCC_USESYSDIV (1u << 22)
#define RCC_PWRDN     (1u << 13)
#define RCC_BYPASS    (1u << 11)
#define RCC_XTAL      (0x1fu << 6)
#define RCC_XTAL_8MHZ (0x0eu << 6)
#define RCC_OSCSRC    (3u << 4)
#define RCC_MOSCDIS   1u
#define RIS_PLLLRIS   (1u << 6)

static void clock_start(void)
{
    uint32_t rcc = (SYSCTL_RCC | RCC_BYPASS) & ~RCC_USESYSDIV;
    SYSCTL_RCC = rcc;
    rcc &= ~(RCC_XTAL | RCC_OSCSRC | RCC_PWRDN | RCC_MOSCDIS);
    rcc |= RCC_XTAL_8MHZ;
    SYSCTL_RCC = rcc;
    rcc &= ~(0xfu << 23);
    rcc |= RCC_SYSDIV_4 | RCC_USESYSDIV;
    SYSCTL_RCC = rcc;
    while ((SYSCTL_RIS & RIS_PLLLRIS) == 0)
        ;
    SYSCTL_RCC = rcc & ~RCC_BYPASS;
}

static void peripherals_start(void)
{
    SYSCTL_RCGC0 |= 1u << 3;                                 // watchdog
    SYSCTL_RCGC1 |= 1u << 0;                                 // UART 0
    SYSCTL_RCGC2 |= 1u << 30 | 1u << 28 | 1u << 5 | 1u << 0; // PHY, MAC, port F (the PHY's lamps), port A
    (void)SYSCTL_RCGC2;
}

/// Console: UART 0 at 115,200 baud (section 12.3) ///

#define UART_FR_TXFF (1u << 5)
#define UART_FR_RXFE (1u << 4)
#define UART_RX      (1u << 4 | 1u << 6) // received, and received a while ago

static void uart_start(void)
{
    GPIOA_AFSEL |= 3;
    GPIOA_DEN |= 3;
    UART0_CTL = 0;
    UART0_IBRD = 27; // 50 MHz / (16 * 115200) = 27 + 8/64
    UART0_FBRD = 8;
    UART0_LCRH = 0x70; // 8 bits, FIFOs
    UART0_CTL = 0x301;
    UART0_IM = UART_RX;
    interrupt_enable(INTERRUPT_UART0);
}

void board_write(char byte)
{
    while (UART0_FR & UART_FR_TXFF)
        ;
    UART0_DR = (uint8_t)byte;
}

static void uart_interrupt(void)
{
    UART0_ICR = UART_RX;
    while ((UART0_FR & UART_FR_RXFE) == 0)
        console_received((char)UART0_DR);
}

/// Watchdog (section 11) ///

#define WATCHDOG_TICKS 200000000u // 4 s to its warning, 8 s to its reset

void board_feed(void)
{
    WDT_LOAD = WATCHDOG_TICKS;
    if ((WDT_CTL & 1) == 0)
        WDT_CTL = 3; // warn, then reset; it can't be stopped again
}

/// Start and reset ///

void board_start(void)
{
    clock_start();
    peripherals_start();
    uart_start();
    interrupt_enable(INTERRUPT_WATCHDOG);
}

bool board_interrupt(unsigned number)
{
    switch (number) {
    case INTERRUPT_UART0:
        uart_interrupt();
        return true;
    case INTERRUPT_ETHERNET:
        ethernet_interrupt();
        return true;
    default:
        return number != INTERRUPT_WATCHDOG;
    }
}

// The register gathers causes until it is cleared, and a power-on sets others too (section 5.5, RESC).
const char *board_reset_cause(void)
{
    static const char *const causes[] = {"reset pin", "power-on", "brown-out", "watchdog", "software"};
    uint32_t causes_seen = SYSCTL_RESC;
    SYSCTL_RESC = 0;
    static const uint8_t order[] = {1, 2, 3, 4, 0};
    for (unsigned i = 0; i < sizeof order; i++)
        if (causes_seen & 1u << order[i])
            return causes[order[i]];
    return NULL;
}
