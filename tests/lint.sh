#!/usr/bin/env bash
# lint.sh FLAG... -- FILE...: clang-tidy (.clang-tidy) and cppcheck over the files, compiled with the flags. Any finding
# fails.
set -u
cd "$(dirname "$0")/.."

log=build/lint.log
mkdir -p build
status=0
flags=(-std=c11)
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    flags+=("$1")
    shift
done
shift
# The simulator and the console client see the host's headers. lwIP wants ssize_t where the host's limits.h speaks of it;
# clang's headers bring it with sys/types.h only.
host=(-D_GNU_SOURCE -include sys/types.h)
read -r -a packages <<<"$(pkg-config --cflags slirp glib-2.0)"
host+=("${packages[@]}")

tidy_with() {
    xargs -r -P "$(nproc)" -I '{}' clang-tidy --quiet --config-file=.clang-tidy '{}' -- "${flags[@]}" "$@" 2>>"$log"
}

# One file a process, as many processes as cores. How many warnings of others it suppressed is of no interest.
tidy() {
    local failed=0
    : >"$log"
    printf '%s\n' "$@" | grep -E '^(sim|clients)/' | tidy_with "${host[@]}" || failed=1
    printf '%s\n' "$@" | grep -vE '^(sim|clients)/' | tidy_with || failed=1
    return $failed
}

# uninitvar: cppcheck takes send(frame, encode(frame)) for a read before the write; gcc and clang-tidy look for the same.
check() {
    cppcheck -q -j "$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --suppress=missingInclude --suppress=preprocessorErrorDirective --suppress=missingIncludeSystem --suppress='*:build/third_party/*' --suppress=checkersReport \
        --suppress=normalCheckLevelMaxBranches --suppress=uninitvar \
        -DPIPIT_PROFILE_SIM=1 -I. "$@"
}

# A lint that nobody has seen fail is none: each of the two must find a defect planted for it.
seen_to_fail() {
    local planted=build/lint
    mkdir -p $planted
    printf 'int f(int n);\nint f(int n)\n{\n    int a[3];\n    if (n > 5)\n        a[0] = 1;\n    return a[0];\n}\n' >$planted/unset.c
    printf 'int f(void);\nint f(void)\n{\n    int a[3] = {0};\n    return a[3];\n}\n' >$planted/bounds.c
    ! tidy $planted/unset.c >/dev/null && ! check $planted/bounds.c 2>/dev/null
}

[ $# -gt 0 ] || { echo "lint.sh: no files" >&2; exit 1; }
seen_to_fail || { echo "lint.sh: a planted defect was not found" >&2; exit 1; }
echo "clang-tidy: $# files"
tidy "$@" || status=1
echo "cppcheck: $# files"
check "$@" || status=1
[ $status = 0 ] && echo "lint: no findings" || echo "lint: FAILED (what clang-tidy could not compile is in $log)"
exit $status
