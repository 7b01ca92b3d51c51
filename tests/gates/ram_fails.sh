#!/usr/bin/env bash
# The ram table counts slots, has a row for every byte, and fails when bytes belong to nobody.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# build NAME SOURCE: a firmware of one object
build() {
    mkdir -p "$folder/$1"
    echo "$2" | gcc -x c -g -O1 -fdata-sections -ffunction-sections -c -o "$folder/$1/a.o" -
    echo "$folder/$1/a.o" >"$folder/$1/libpipit.objects"
}

build good 'struct client { int a[30]; }; static struct client clients_slots[7]; char text[100] = "x"; int small;
    const char *const names[] = {"a", "b"};
    void *f(int i) { static struct client local; return i ? (void *)&clients_slots[i] : &local; }'
python3 tests/ram.py "$folder/good" >"$folder/out" || { cat "$folder/out"; exit 1; }
grep -Eq '^a +clients +120 +7 +840$' "$folder/out" || { cat "$folder/out"; exit 1; }
grep -Eq '^ +all +1064$' "$folder/out" || { cat "$folder/out"; exit 1; }

build bad 'int owned[40]; __asm__(".bss\n.skip 24\n.text");'
if python3 tests/ram.py "$folder/bad" >"$folder/out"; then
    echo "24 bytes without an owner were not seen"
    exit 1
fi
grep -q '24 bytes of .bss belong to no variable' "$folder/out"

mkdir "$folder/none"
: >"$folder/none/libpipit.objects"
if python3 tests/ram.py "$folder/none"; then
    echo "a firmware without objects passed"
    exit 1
fi
