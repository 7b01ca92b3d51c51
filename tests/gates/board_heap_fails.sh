#!/usr/bin/env bash
# On each board, a call of an allocator does not link; and the gate sees one in a program that has it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for board in boards/*/board.mk; do
    board=$(basename "$(dirname "$board")")
    for allocator in malloc calloc realloc free _sbrk; do
        if make --no-print-directory "BOARD=$board" "ALLOCATOR=$allocator" with-allocator >"$folder/log" 2>&1; then
            echo "$board linked with $allocator"
            exit 1
        fi
        grep -qE "there is no heap|undefined reference to .$allocator" "$folder/log" || { cat "$folder/log"; exit 1; }
        echo "$board: $allocator does not link"
    done
done

printf 'int main(void) { return 0; }\nvoid *malloc(unsigned long n) { return (void *)n; }\n' >"$folder/a.c"
gcc -o "$folder/a.elf" "$folder/a.c" -fno-builtin -nostdlib -nostartfiles
if bash tests/gates/board_heap.sh "$folder/a.elf"; then
    echo "an allocator was not seen"
    exit 1
fi
