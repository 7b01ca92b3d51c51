// ARMv7-M (DDI 0403): vectors, the clock on SysTick, sleep, and faults.
#include "cortex_m.h"
#include "../../port/port.h"

#define INTERRUPTS 64 // external ones with a vector
#define TICK_HZ    1000

#define SYST_CSR REGISTER(0xe000e010)
#define SYST_RVR REGISTER(0xe000e014)
#define SYST_CVR REGISTER(0xe000e018)
#define ICSR     REGISTER(0xe000ed04)
#define AIRCR    REGISTER(0xe000ed0c)
#define SHCSR    REGISTER(0xe000ed24)
#define CFSR     REGISTER(0xe000ed28)
#define HFSR     REGISTER(0xe000ed2c)
#define MMFAR    REGISTER(0xe000ed34)
#define BFAR     REGISTER(0xe000ed38)

#define ICSR_PENDSTSET    (1u << 26)
#define SHCSR_FAULTS      (7u << 16) // usage, bus and memory faults have handlers of their own
#define SYST_ENABLE       7u         // with its interrupt, from the processor's clock
#define AIRCR_SYSRESETREQ 0x05fa0004u

static volatile uint32_t ticks_low, ticks_high;
static volatile bool woken; // something has happened that ends a sleep

/// Interrupts ///

static void disable_interrupts(void)
{
    __asm__ volatile("cpsid i" ::: "memory");
}

static void enable_interrupts(void)
{
    __asm__ volatile("cpsie i\n\tisb" ::: "memory");
}

static uint32_t exception_number(void)
{
    uint32_t number;
    __asm__ volatile("mrs %0, ipsr" : "=r"(number));
    return number;
}

static void on_tick(void)
{
    ticks_low++;
    if (ticks_low == 0)
        ticks_high++;
}

void machine_wake(void)
{
    woken = true;
}

void machine_start(void)
{
    SHCSR |= SHCSR_FAULTS;
    SYST_RVR = board_clock_hz / TICK_HZ - 1;
    SYST_CVR = 0;
    SYST_CSR = SYST_ENABLE;
    enable_interrupts();
}

/// Clock ///

uint64_t port_now_ms(void)
{
    uint32_t high, low;
    do {
        high = ticks_high;
        low = ticks_low;
    } while (high != ticks_high);
    return (uint64_t)high << 32 | low;
}

// SysTick counts down. A tick that has not been taken in yet shows as pending: then the counter is read again, since it
// may have been read before it wrapped.
uint32_t port_now_us(void)
{
    uint32_t ms, left, pending;
    do {
        ms = ticks_low;
        left = SYST_CVR;
        pending = (ICSR & ICSR_PENDSTSET) != 0;
        if (pending)
            left = SYST_CVR;
    } while (ms != ticks_low);
    return (ms + pending) * 1000 + (SYST_RVR - left) / (board_clock_hz / 1000000);
}

/// Sleep ///

static void wait_for_interrupt(void)
{
    __asm__ volatile("dsb\n\twfi" ::: "memory");
}

// With interrupts masked a pending one still ends the sleep, so none is slept through.
void port_idle(uint32_t most_ms)
{
    uint64_t end = port_now_ms() + most_ms;
    board_feed();
    disable_interrupts();
    while (!woken && port_now_ms() < end) {
        wait_for_interrupt();
        enable_interrupts();
        disable_interrupts();
    }
    woken = false;
    enable_interrupts();
}

/// Start and end ///

_Noreturn void board_reset_handler(void);
_Noreturn void board_reset_handler(void)
{
    disable_interrupts();
    memory_prepare((const uint32_t *)__builtin_frame_address(0) - 16);
    board_main();
}

_Noreturn void board_reset(void)
{
    __asm__ volatile("dsb");
    AIRCR = AIRCR_SYSRESETREQ;
    for (;;)
        ;
}

/// Faults ///

// What the processor has put on the stack (B1.5.6).
struct frame {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
};

#define STUCK "stuck: the watchdog was not fed"

static const char *fault_name(void)
{
    static const char *const names[] = {[2] = STUCK, "hard fault", "memory fault", "bus fault", "usage fault"};
    uint32_t number = exception_number();
    if (number >= 16)
        return STUCK;
    return number >= 2 && number <= 6 ? names[number] : "an exception that nobody has asked for";
}

// `sp` is where the processor has put the frame, unless the stack had run out. A fresh one is in use here.
_Noreturn __attribute__((used)) static void report(const uint32_t *sp)
{
    static const struct frame nothing;
    bool on_stack = sp >= stack_bottom && sp + sizeof(struct frame) / 4 <= stack_top;
    const struct frame *f = on_stack ? (const struct frame *)sp : &nothing;
    const struct fault_register registers[] = {{"pc", f->pc},   {"lr", f->lr},  {"sp", (uint32_t)sp}, {"xpsr", f->xpsr},
                                               {"r0", f->r0},   {"r1", f->r1},  {"r2", f->r2},        {"r3", f->r3},
                                               {"r12", f->r12}, {"cfsr", CFSR}, {"hfsr", HFSR},       {"bfar", BFAR},
                                               {"mmfar", MMFAR}};
    fault_report(fault_name(), registers, sizeof registers / sizeof registers[0]);
}

__attribute__((naked)) static void on_fault(void)
{
    __asm__ volatile("cpsid i\n\t"
                     "mrs r0, msp\n\t"
                     "ldr r1, =stack_top\n\t"
                     "mov sp, r1\n\t"
                     "b report");
}

__attribute__((used)) static void dispatch(const uint32_t *sp)
{
    if (!board_interrupt(exception_number() - 16))
        report(sp);
    woken = true;
}

__attribute__((naked)) static void on_interrupt(void)
{
    __asm__ volatile("mrs r0, msp\n\t"
                     "b dispatch");
}

/// Vectors ///

#define EXCEPTIONS 16

union vector {
    const void *stack;
    void (*handler)(void);
};

__attribute__((section(".vectors"), used)) static const union vector vectors[EXCEPTIONS + INTERRUPTS] = {
    {.stack = stack_top},
    {.handler = board_reset_handler},
    [2 ... 14] = {.handler = on_fault}, // what is not used counts as a fault too
    {.handler = on_tick},
    [EXCEPTIONS... EXCEPTIONS + INTERRUPTS - 1] = {.handler = on_interrupt},
};
