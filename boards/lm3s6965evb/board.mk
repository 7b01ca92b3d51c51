# Texas Instruments (Luminary Micro) LM3S6965 evaluation board: Cortex-M3 at 50 MHz, 256 KB of flash, 64 KB of RAM, Ethernet
# on the chip.
PROFILE      := small
CROSS        := arm-none-eabi-
CPU          := -mcpu=cortex-m3 -mthumb
COMMON       := cortex_m.c seed_pages.c small_division.c
# Each of the later flags was measured: together they are 2 KB less.
OPTIMIZE     := -Oz -flto -flto-partition=one -ffat-lto-objects -fno-move-loop-invariants -fno-schedule-insns2 -fipa-pta \
                -fmerge-all-constants -fno-tree-dominator-opts -fno-tree-sink -fno-tree-tail-merge -fno-caller-saves \
                -fno-optimize-sibling-calls -Wl,-O2
FLASH_BUDGET := $(if $(filter tls,$(PROFILE)),247808,204800)
QEMU         := qemu-system-arm -M lm3s6965evb
NIC_MODEL    := stellaris
OPENOCD      := board/ek-lm3s6965.cfg
SEED_AT      := 0x3f800
BOARD_TOOLS  := arm
CLANG_TARGET := arm-none-eabi

# PROFILE=tls: the program has a quarter of the journal, and variables 128 bytes of the stack, of which 3.8 KB are used.
ifeq ($(PROFILE),tls)
LINKED_AS := -Wl,--defsym=STACK_BYTES=6272,--defsym=JOURNAL_BYTES=12K
endif
