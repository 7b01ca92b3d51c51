# ARM MPS2 FPGA board with application note 385: Cortex-M3 at 25 MHz, 4 MB for the program, 4 MB of RAM, LAN9118 Ethernet.
PROFILE      := medium
CROSS        := arm-none-eabi-
CPU          := -mcpu=cortex-m3 -mthumb
COMMON       := cortex_m.c no_seed.c ram_flash.c
OPTIMIZE     := -O2
FLASH_BUDGET := 524288
QEMU         := qemu-system-arm -M mps2-an385
NIC_MODEL    := lan9118
BOARD_TOOLS  := arm
CLANG_TARGET := arm-none-eabi
