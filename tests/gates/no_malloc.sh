#!/usr/bin/env bash
# No object of the firmware, ours or third-party, calls an allocator, and none of ours calls the printf family (newlib's
# brings _malloc_r). Looks at the objects on the command line, else at those of every profile.
set -euo pipefail

heap='malloc|calloc|realloc|free|reallocarray|aligned_alloc|posix_memalign|memalign|valloc|strdup|strndup|v?asprintf|getline|getdelim|open_memstream|fopen|fdopen|opendir|sbrk|mmap'
print='v?(f|s|sn|d)?printf|puts|fputs|putchar|putc|fputc|fwrite|perror|v?(f|s)?scanf'

# Undefined symbols of object $1 that are one of $2, with or without glibc's checking wrappers and newlib's _r.
uses() {
    nm -u "$1" | awk '{ print $NF }' | grep -E "^_*(isoc99_)?($2)(_chk|_r)?(@.*)?\$" || true
}

third_party() {
    case $1 in
    */lwip/* | */mbedtls/* | */cjson/*) return 0 ;;
    *) return 1 ;;
    esac
}

if [ $# = 0 ]; then
    lists=(build/{sim,medium,small}/libpipit.objects)
    mapfile -t objects < <(cat "${lists[@]}")
else
    objects=("$@")
fi

[ ${#objects[@]} -gt 0 ] || { echo "no_malloc.sh: no objects" >&2; exit 1; }
status=0
for object in "${objects[@]}"; do
    [ -r "$object" ] || { echo "$object is missing"; status=1; continue; }
    names=$heap
    third_party "$object" || names="$heap|$print"
    for name in $(uses "$object" "$names"); do
        echo "$object calls $name"
        status=1
    done
done
echo "${#objects[@]} objects"
exit $status
