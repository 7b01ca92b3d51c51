#!/usr/bin/env bash
# No board's program has an allocator in it. Arguments: the programs, else all that are built.
set -euo pipefail
[ $# -gt 0 ] || set -- build/*/pipit.elf
for elf in "$@"; do
    [ -s "$elf" ] || { echo "$elf: no such program"; exit 1; }
    symbols=$(readelf -sW "$elf" | awk '$4 == "FUNC" { print $8 }')
    [ -n "$symbols" ] || { echo "$elf: no functions"; exit 1; }
    found=$(grep -xE '_*(malloc|calloc|realloc|free|sbrk|memalign)(_r)?' <<<"$symbols" || true)
    [ -z "$found" ] || { echo "$elf has" $found; exit 1; }
    echo "$elf: $(wc -l <<<"$symbols") functions, no allocator"
done
