// QEMU's RISC-V machine "virt": addresses and interrupts, as hw/riscv/virt.c of QEMU's documentation lists them.
#ifndef PIPIT_VIRT_H
#define PIPIT_VIRT_H

#include "../common/board.h"

#define REGISTER(ADDRESS)  (*(volatile uint32_t *)(ADDRESS))
#define REGISTER8(ADDRESS) (*(volatile uint8_t *)(ADDRESS))

#define TEST_FINISHER REGISTER(0x00100000)

#define CLINT_MTIMECMP_LOW  REGISTER(0x02004000)
#define CLINT_MTIMECMP_HIGH REGISTER(0x02004004)
#define CLINT_MTIME_LOW     REGISTER(0x0200bff8)
#define CLINT_MTIME_HIGH    REGISTER(0x0200bffc)
#define CLINT_HZ            10000000u

#define PLIC_PRIORITY(N) REGISTER(0x0c000000 + 4 * (N))
#define PLIC_ENABLE      REGISTER(0x0c002000) // interrupts 0 to 31, of the first processor's machine mode
#define PLIC_CLAIM       REGISTER(0x0c200004)

#define UART_BASE 0x10000000

#define VIRTIO_BASE  0x10001000
#define VIRTIO_STEP  0x1000
#define VIRTIO_SLOTS 8

#define INTERRUPT_UART     10
#define INTERRUPT_VIRTIO_0 1 // of the first slot; the others follow

// Lets an external interrupt in.
void interrupt_enable(unsigned number);

// Called for external interrupt `number`.
void board_interrupt(unsigned number);

// Called for the interrupt of the network card.
void ethernet_interrupt(void);

#endif
