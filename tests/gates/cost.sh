#!/usr/bin/env bash
# What things cost on each board is within 5 % of the figures in tests/bench/cost.json.
set -euo pipefail
for board in boards/*/board.mk; do
    make --no-print-directory "BOARD=$(basename "$(dirname "$board")")" cost
done
