#!/usr/bin/env bash
# The no_malloc gate sees each of these calls, and lets a harmless object pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# object PATH SOURCE
object() {
    mkdir -p "$(dirname "$folder/$1")"
    echo "$2" | gcc -x c -O1 -fno-builtin -c -o "$folder/$1" -
}

# expect_failure PATH CALL SOURCE
expect_failure() {
    object "$1" "$3"
    if bash tests/gates/no_malloc.sh "$folder/$1" >"$folder/out"; then
        echo "not seen: $2 in $1"
        exit 1
    fi
    grep -q "calls .*$2" "$folder/out" || { cat "$folder/out"; exit 1; }
}

object port/fine.o 'void *pool_malloc(void); void *f(void) { return pool_malloc(); }'
bash tests/gates/no_malloc.sh "$folder/port/fine.o"
for call in malloc calloc realloc free strdup vasprintf getline _malloc_r; do
    expect_failure services/bad.o "$call" "void *$call(void); void *f(void) { return $call(); }"
    expect_failure lwip/bad.o "$call" "void *$call(void); void *f(void) { return $call(); }"
done
for call in snprintf __snprintf_chk printf vfprintf __isoc99_sscanf puts; do
    expect_failure app/bad.o "$call" "int $call(void); int f(void) { return $call(); }"
done
if bash tests/gates/no_malloc.sh "$folder/missing.o"; then
    echo "a missing object passed"
    exit 1
fi
