#!/usr/bin/env bash
# Runs the suites $1...: gates, unit, corpora, system, boards. What is built and where comes from tests/tests.mk through the
# environment. Each suite adds a line "name passed failed" to build/results.tsv; one that finds nothing to run has failed.
set -uo pipefail
cd "$(dirname "$0")/.."

results=${RESULTS:-build/results.tsv}
log=$B/test-output
mkdir -p build "$log"
passed=0
failed=0

count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# Lines that begin with `pattern` in a TAP report.
lines() {
    grep -c "^$1" "$2" || true
}

# One cmocka program. The plan is announced first, so a crash or an early exit shows as tests that never reported.
unit_test() {
    local program=$1 report=$log/${1##*/}.tap status planned ok not_ok
    rm -f "$report"
    CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$program" >"$report" 2>"$report.stderr" </dev/null
    status=$?
    ok=$(lines "ok " "$report")
    not_ok=$(lines "not ok " "$report")
    planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$report" | awk '{ n += $1 } END { print n + 0 }')
    [ "$planned" -gt $((ok + not_ok)) ] && not_ok=$((planned - ok))
    [ $((ok + not_ok)) = 0 ] && not_ok=1
    [ $status != 0 ] && [ "$not_ok" = 0 ] && not_ok=1
    count "$ok" "$not_ok"
    printf '  %-32s %4d passed' "${program##*/}" "$ok"
    [ "$not_ok" = 0 ] && echo && return
    printf '  %d FAILED (status %d)\n' "$not_ok" $status
    grep -v '^ok ' "$report" | sed 's/^/    /'
    sed 's/^/    /' "$report.stderr"
}

suite_unit() {
    local program
    for program in $UNIT_TESTS; do
        unit_test "$program"
    done
}

suite_corpora() {
    local program name inputs report
    for program in $CORPUS_TESTS; do
        name=${program##*/fuzz_}
        report=$log/corpus_$name
        inputs=$(find "tests/fuzz/corpus/$name" -type f 2>/dev/null | wc -l)
        if [ "$inputs" -gt 0 ] && timeout 300 "$program" "tests/fuzz/corpus/$name" >"$report" 2>&1 </dev/null; then
            count 1 0
            printf '  %-32s %4d inputs passed\n' "$name" "$inputs"
        else
            count 0 1
            printf '  %-32s FAILED (%d inputs in tests/fuzz/corpus/%s)\n' "$name" "$inputs" "$name"
            [ "$inputs" = 0 ] || sed 's/^/    /' "$report"
        fi
    done
}

# A gate is a pair: X.sh holds the tree to a rule, X_fails.sh shows that it can fail.
suite_gates() {
    local gate report
    for gate in tests/gates/*.sh; do
        report=$log/gate_$(basename "$gate" .sh)
        if timeout 300 bash "$gate" >"$report" 2>&1 </dev/null; then
            count 1 0
            printf '  %-32s passed\n' "$(basename "$gate" .sh)"
        else
            count 0 1
            printf '  %-32s FAILED\n' "$(basename "$gate" .sh)"
            sed 's/^/    /' "$report"
        fi
        case $gate in
        *_fails.sh) ;;
        *) [ -e "${gate%.sh}_fails.sh" ] || { count 0 1; echo "    $gate has no ${gate##*/} that fails"; } ;;
        esac
    done
}

# node's totals at the end of its TAP report $2: "# pass 12".
node_total() {
    sed -n "s/^# $1 \([0-9]*\)$/\1/p" "$2" | tail -n 1 | grep . || echo 0
}

# What node understands depends on its version. A test that fails half way may keep its file alive until the timeout;
# --test-force-exit would end it, and lose the report.
node_options() {
    local option help
    help=$(node --help)
    for option in --test-concurrency=1 --test-timeout="${FILE_SECONDS:-400}000"; do
        grep -q -- "${option%%=*}" <<<"$help" && echo "$option"
    done
}

# node_suite NAME SECONDS FILE...: one file after the other. timeout makes a process group of its own: what a failed test
# leaves running ends with it.
node_suite() {
    local report=$log/$1.tap seconds=$2 status group
    shift 2
    [ $# -gt 0 ] || return
    rm -f "$report"
    timeout "$seconds" node --test $(node_options) --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=tap --test-reporter-destination="$report" "$@" </dev/null &
    group=$!
    wait $group
    status=$?
    kill -- -$group 2>/dev/null
    local ok not_ok
    ok=$(node_total pass "$report")
    not_ok=$(($(node_total fail "$report") + $(node_total cancelled "$report")))
    [ $status != 0 ] && [ "$not_ok" = 0 ] && not_ok=1
    count "$ok" "$not_ok"
}

# Looks through all that the programs of a suite have said (tests/system/evidence.mjs); $1 runs that suite.
without_secrets_in_logs() {
    local report=$log/logs
    rm -rf "$report" "$log/secrets"
    "$@"
    if tests/logs.sh "$log" >"$log/logs.report" 2>&1; then
        count 1 0
    else
        count 0 1
    fi
    sed 's/^/  /' "$log/logs.report" | tail -n 20
}

suite_system() {
    without_secrets_in_logs node_suite system "${SYSTEM_SECONDS:-1500}" $SYSTEM_TESTS
}

suite_boards() {
    FILE_SECONDS=${FILE_SECONDS:-150}
    without_secrets_in_logs node_suite boards "${BOARD_SECONDS:-900}" $BOARD_TESTS
}

run_suite() {
    local started=$SECONDS
    passed=0
    failed=0
    echo "== $1 ($B)"
    "suite_$1"
    [ $((passed + failed)) = 0 ] && failed=1 && echo "  there is nothing to run: that is a failure too"
    printf '%s\t%d\t%d\n' "$1 ($B)" $passed $failed >>"$results"
    printf '   %s: %d passed, %d failed, %d s\n' "$1" $passed $failed $((SECONDS - started))
    [ $failed = 0 ]
}

export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
status=0
for suite in "$@"; do
    run_suite "$suite" || status=1
done
exit $status
