#!/usr/bin/env bash
# flash.sh PROGRAM.elf: writes the program to the board $BOARD with OpenOCD (configuration $OPENOCD), and, at $SEED_AT, a first
# seed for its random numbers (boards/common/seed_pages.h). Each device gets a seed of its own: run it once for each.
# OPENOCD_COMMAND=echo shows what would be done.
set -euo pipefail

elf=${1:?usage: flash.sh PROGRAM.elf}
[ -n "${OPENOCD:-}" ] || { echo "flash.sh: $BOARD has no flash that OpenOCD writes; boards/$BOARD/README.md says how it is loaded." >&2; exit 2; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 077

# Two pages: the first begins with a seed, the counter 1 and the counter's complement; the rest is erased.
{
    head -c 32 /dev/urandom
    printf '\x01\x00\x00\x00\xfe\xff\xff\xff'
    head -c 2008 /dev/zero | tr '\0' '\377'
} >"$folder/seed.bin"

"${OPENOCD_COMMAND:-openocd}" -f "$OPENOCD" -c init -c 'reset halt' \
    -c "program $elf verify" \
    -c "flash write_image erase $folder/seed.bin $SEED_AT bin" -c "verify_image $folder/seed.bin $SEED_AT bin" \
    -c 'reset run' -c shutdown
