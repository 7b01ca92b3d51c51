// RISC-V, machine mode (privileged architecture 1.11): start, traps, the clock, sleep.
#include "../../port/port.h"
#include "virt.h"

#define TICKS_A_MS (CLINT_HZ / 1000)
#define TICKS_A_US (CLINT_HZ / 1000000)

#define MSTATUS_MIE     8u
#define MIE_TIMER       (1u << 7)
#define MIE_EXTERNAL    (1u << 11)
#define CAUSE_INTERRUPT 0x80000000u
#define CAUSE_TIMER     (CAUSE_INTERRUPT | 7)

static volatile bool woken;

/// Start ///

// 4 MB from 0x80000000 on may be read and run but not written, and the lock makes that hold in machine mode too
// (3.6.1): so a stack that grows out of RAM, whose bottom is right behind, is a fault at once.
#define PMP_PROGRAM         (0x80000000u >> 2 | ((4u << 20 >> 3) - 1))
#define PMP_RX_NAPOT_LOCKED 0x9du

static void protect_program(void)
{
    __asm__ volatile("csrw pmpaddr0, %0\n\tcsrw pmpcfg0, %1" ::"r"(PMP_PROGRAM), "r"(PMP_RX_NAPOT_LOCKED));
}

_Noreturn void board_reset_handler(void);
_Noreturn __attribute__((used)) static void start(void)
{
    memory_prepare((const uint32_t *)__builtin_frame_address(0) - 32);
    protect_program();
    board_main();
}

// The machine begins at the first address of RAM, with nothing set up.
__attribute__((section(".vectors"), naked)) void board_reset_handler(void)
{
    __asm__ volatile("csrw mstatus, zero\n\t"
                     "la sp, stack_top\n\t"
                     "j start");
}

/// Clock ///

// Nobody may ask less often than every seven minutes, or a turn of the 32 bits is missed; the loop asks every second.
uint64_t port_now_ms(void)
{
    static uint64_t ms;
    static uint32_t at; // of CLINT_MTIME_LOW, when `ms` began
    uint32_t passed = (CLINT_MTIME_LOW - at) / TICKS_A_MS;
    ms += passed;
    at += passed * TICKS_A_MS;
    return ms;
}

static uint64_t ticks(void)
{
    uint32_t high, low;
    do {
        high = CLINT_MTIME_HIGH;
        low = CLINT_MTIME_LOW;
    } while (high != CLINT_MTIME_HIGH);
    return (uint64_t)high << 32 | low;
}

uint32_t port_now_us(void)
{
    return (uint32_t)(ticks() / TICKS_A_US);
}

/// Sleep ///

static void alarm_at(uint64_t when)
{
    CLINT_MTIMECMP_HIGH = UINT32_MAX; // never in the past on the way
    CLINT_MTIMECMP_LOW = (uint32_t)when;
    CLINT_MTIMECMP_HIGH = (uint32_t)(when >> 32);
}

static void disable_interrupts(void)
{
    __asm__ volatile("csrc mstatus, %0" ::"r"(MSTATUS_MIE) : "memory");
}

static void enable_interrupts(void)
{
    __asm__ volatile("csrs mstatus, %0" ::"r"(MSTATUS_MIE) : "memory");
}

void machine_wake(void)
{
    woken = true;
}

// With interrupts masked a pending one still ends the sleep, so none is slept through.
void port_idle(uint32_t most_ms)
{
    uint64_t end = ticks() + (uint64_t)most_ms * TICKS_A_MS;
    board_feed();
    alarm_at(end);
    disable_interrupts();
    while (!woken && ticks() < end) {
        __asm__ volatile("wfi" ::: "memory");
        enable_interrupts();
        disable_interrupts();
    }
    woken = false;
    enable_interrupts();
}

/// Traps ///

// What a function call may change, and the stack pointer: saved apart, since the stack may be what has failed.
struct frame {
    uint32_t t0, ra, sp, t1, t2, a0, a1, a2, a3, a4, a5, a6, a7, t3, t4, t5, t6;
};
static struct frame frame __attribute__((used));

static const char *cause_name(uint32_t cause)
{
    static const char *const names[] = {
        "instruction address misaligned", "instruction access fault", "illegal instruction",      "breakpoint",
        "load address misaligned",        "load access fault",        "store address misaligned", "store access fault"};
    return cause < sizeof names / sizeof names[0] ? names[cause] : "an exception that nobody has asked for";
}

static uint32_t exception_pc(void)
{
    uint32_t value;
    __asm__ volatile("csrr %0, mepc" : "=r"(value));
    return value;
}

static uint32_t exception_value(void)
{
    uint32_t value;
    __asm__ volatile("csrr %0, mtval" : "=r"(value));
    return value;
}

_Noreturn static void report(uint32_t cause)
{
    const struct fault_register registers[] = {
        {"pc", exception_pc()}, {"ra", frame.ra}, {"sp", frame.sp}, {"mtval", exception_value()},
        {"mcause", cause},      {"a0", frame.a0}, {"a1", frame.a1}, {"a2", frame.a2},
        {"a3", frame.a3},       {"a4", frame.a4}, {"a5", frame.a5}, {"t0", frame.t0}};
    fault_report(cause_name(cause), registers, sizeof registers / sizeof registers[0]);
}

static void external(void)
{
    uint32_t number = PLIC_CLAIM;
    if (number == 0)
        return;
    board_interrupt(number);
    PLIC_CLAIM = number;
    woken = true;
}

__attribute__((used)) static void trap(uint32_t cause)
{
    if ((cause & CAUSE_INTERRUPT) == 0)
        report(cause);
    if (cause == CAUSE_TIMER)
        alarm_at(UINT64_MAX);
    else
        external();
}

// Interrupts go on with the stack that there is, exceptions with a fresh one.
__attribute__((naked, aligned(4))) static void on_trap(void)
{
    __asm__ volatile("csrw mscratch, t0\n\t"
                     "la t0, frame\n\t"
                     "sw ra, 4(t0)\n\t"
                     "sw sp, 8(t0)\n\t"
                     "sw t1, 12(t0)\n\t"
                     "sw t2, 16(t0)\n\t"
                     "sw a0, 20(t0)\n\t"
                     "sw a1, 24(t0)\n\t"
                     "sw a2, 28(t0)\n\t"
                     "sw a3, 32(t0)\n\t"
                     "sw a4, 36(t0)\n\t"
                     "sw a5, 40(t0)\n\t"
                     "sw a6, 44(t0)\n\t"
                     "sw a7, 48(t0)\n\t"
                     "sw t3, 52(t0)\n\t"
                     "sw t4, 56(t0)\n\t"
                     "sw t5, 60(t0)\n\t"
                     "sw t6, 64(t0)\n\t"
                     "csrr t1, mscratch\n\t"
                     "sw t1, 0(t0)\n\t"
                     "csrr a0, mcause\n\t"
                     "bltz a0, 1f\n\t"
                     "la sp, stack_top\n"
                     "1:\n\t"
                     "andi sp, sp, -16\n\t"
                     "call trap\n\t"
                     "la t0, frame\n\t"
                     "lw ra, 4(t0)\n\t"
                     "lw sp, 8(t0)\n\t"
                     "lw t1, 12(t0)\n\t"
                     "lw t2, 16(t0)\n\t"
                     "lw a0, 20(t0)\n\t"
                     "lw a1, 24(t0)\n\t"
                     "lw a2, 28(t0)\n\t"
                     "lw a3, 32(t0)\n\t"
                     "lw a4, 36(t0)\n\t"
                     "lw a5, 40(t0)\n\t"
                     "lw a6, 44(t0)\n\t"
                     "lw a7, 48(t0)\n\t"
                     "lw t3, 52(t0)\n\t"
                     "lw t4, 56(t0)\n\t"
                     "lw t5, 60(t0)\n\t"
                     "lw t6, 64(t0)\n\t"
                     "lw t0, 0(t0)\n\t"
                     "mret");
}

void interrupt_enable(unsigned number)
{
    PLIC_PRIORITY(number) = 1;
    PLIC_ENABLE |= 1u << number;
}

void machine_start(void)
{
    alarm_at(UINT64_MAX);
    __asm__ volatile("csrw mtvec, %0" ::"r"(on_trap));
    __asm__ volatile("csrw mie, %0" ::"r"(MIE_TIMER | MIE_EXTERNAL));
    enable_interrupts();
}
