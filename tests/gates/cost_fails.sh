#!/usr/bin/env bash
# Figures that are 6 % off are seen, in both directions, and so are two runs that differ, one that is missing, and none at all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo '{"b": {"login": 1000, "get": 200}}' >"$folder/json"

compare() {
    printf '%b' "$1" >"$folder/first"
    printf '%b' "${2:-$1}" >"$folder/second"
    python3 tests/bench/cost.py "$folder/json" b "$folder/first" "$folder/second" >"$folder/out"
}

expect_failure() {
    if compare "$@"; then
        echo "passed: $*"
        cat "$folder/out"
        exit 1
    fi
}

compare 'login 1049\nget 191\n'
expect_failure 'login 1060\nget 200\n'
expect_failure 'login 940\nget 200\n'
expect_failure 'login 1000\n'
expect_failure 'login 1000\nget 200\nnew 5\n'
expect_failure 'login 1000\nget 200\n' 'login 1006\nget 200\n'
expect_failure ''

# And the whole way, with a real run.
board=mps2-an385
python3 - "$board" "$folder/json" <<'PY'
import json, sys
with open("tests/bench/cost.json", encoding="utf-8") as file:
    figures = json.load(file)
figures[sys.argv[1]]["get_healthz"] = figures[sys.argv[1]]["get_healthz"] * 94 // 100
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(figures, file)
PY
if COST_JSON=$folder/json make --no-print-directory BOARD=$board cost >"$folder/out"; then
    echo "a real run passed with a figure that is 6 % off"
    exit 1
fi
grep -q 'get_healthz .* away from' "$folder/out"
