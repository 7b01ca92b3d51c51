#!/usr/bin/env bash
# Instructions that things cost on the board $BOARD, counted by QEMU (tests/bench/cost.c); boards/boards.mk has the environment.
# Two runs must agree: to the instruction on the Arm boards, within 0.5 % on virt-rv32, whose UART answers in QEMU's own
# time. The figures are then compared with those in tests/bench/cost.json, or with the file
# $COST_JSON: more than 5 % away in either direction fails. UPDATE=1 writes them there instead.
set -euo pipefail
cd "$(dirname "$0")/../.."

json=${COST_JSON:-tests/bench/cost.json}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
seed=$(printf '%0128d' 1)

# Ends QEMU when the program says that it is done.
measure() {
    local pid
    : >"$folder/console"
    ELF=$B/cost.elf FORWARD=0:80 QEMU_OPTIONS="-icount shift=6" boards/run.sh --seed "$seed" --set api.rate=0 --set chat.rate=0 \
        --set net.address=10.0.2.15/24 --set net.mdns=0 --set net.sntp= >"$folder/console" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 1200); do
        grep -q '^cost end\|^cost failed' "$folder/console" && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    kill $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    grep -q '^cost end' "$folder/console" || { cat "$folder/console" >&2; echo "cost.sh: $BOARD did not come to the end." >&2; exit 1; }
    tr -d '\r' <"$folder/console" | sed -n 's/^cost \([a-z_0-9]*\) \([0-9]*\)$/\1 \2/p' | grep -v '^end'
}

measure >"$folder/first"
measure >"$folder/second"
python3 tests/bench/cost.py "$json" "$BOARD" "$folder/first" "$folder/second" ${UPDATE:+--update}
