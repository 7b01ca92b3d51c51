#!/usr/bin/env bash
# Runs each libFuzzer program $1... for FUZZ_SECONDS. It starts from tests/fuzz/corpus/NAME and keeps what is new in
# build/fuzz/NAME; an input that crashes is build/fuzz/NAME-crash-*.
set -uo pipefail
cd "$(dirname "$0")/../.."

seconds=${FUZZ_SECONDS:-60}
status=0
passed=0
failed=0

fuzz() {
    local program=$1 name=${1##*/fuzz_} options=()
    name=${name%-libfuzzer}
    mkdir -p "build/fuzz/$name" "tests/fuzz/corpus/$name"
    [ -r "tests/fuzz/$name.dict" ] && options+=("-dict=tests/fuzz/$name.dict")
    echo "== $name, $seconds s"
    "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
        "-artifact_prefix=build/fuzz/$name-" "${options[@]}" "build/fuzz/$name" "tests/fuzz/corpus/$name" </dev/null
}

[ $# -gt 0 ] || { echo "run_fuzz.sh: there is no fuzz target" >&2; exit 1; }
for program in "$@"; do
    if fuzz "$program"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        status=1
    fi
done
echo "fuzz: $passed passed, $failed failed"
exit $status
