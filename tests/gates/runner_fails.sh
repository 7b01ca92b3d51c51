#!/usr/bin/env bash
# tests/run.sh calls failed what failed: a failing test, a crash halfway, a bad exit, nothing to run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# unit NAME SCRIPT: runs it as if it were a cmocka program; the last line of the results is "NAME passed failed".
unit() {
    printf '#!/bin/sh\n%s\n' "$2" >"$folder/$1"
    chmod +x "$folder/$1"
    B=$folder RESULTS=$folder/results UNIT_TESTS="$folder/$1" tests/run.sh unit >"$folder/out"
}

expect() {
    local name=$1 counts=$2 script=$3 status=0
    unit "test_runner_$name" "$script" || status=$?
    [ "$(tail -n 1 "$folder/results" | cut -f 2-)" = "$(printf '%b' "$counts")" ] && [ $status = "$4" ] && return
    echo "$name:"
    cat "$folder/out" "$folder/results"
    exit 1
}

expect good '2\t0' 'printf "1..2\nok 1 - a\nok 2 - b\n"' 0
expect failing '1\t1' 'printf "1..2\nok 1 - a\nnot ok 2 - b\n"; exit 1' 1
expect crash '1\t2' 'printf "1..3\nok 1 - a\n"; kill -SEGV $$' 1
expect status '1\t1' 'printf "1..1\nok 1 - a\n"; exit 3' 1
expect silent '0\t1' 'exit 0' 1
if B=$folder RESULTS=$folder/results UNIT_TESTS= tests/run.sh unit >/dev/null; then
    echo "an empty suite passed"
    exit 1
fi
