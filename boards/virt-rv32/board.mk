# QEMU's RISC-V machine "virt", with 32 bits: no real board, but another processor, another Ethernet and another everything.
PROFILE      := medium
CROSS        := riscv64-unknown-elf-
CPU          := -misa-spec=2.2 -march=rv32imac -mabi=ilp32
COMMON       := no_seed.c ram_flash.c
OPTIMIZE     := -O2
FLASH_BUDGET := 524288
QEMU         := qemu-system-riscv32 -M virt -bios none -m 16M -global virtio-mmio.force-legacy=false
NIC_DEVICE   := virtio-net-device
BOARD_TOOLS  := riscv
CLANG_TARGET := riscv32-unknown-elf
