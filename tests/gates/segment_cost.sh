#!/usr/bin/env bash
# A received segment costs the same with 10 and with 1,000 connections, within 10 %. Arguments go to segment.sh.
set -euo pipefail
out=$(bash tests/bench/segment.sh "$@")
echo "$out"
ratio=$(sed -n 's/ratio: \([0-9]*\) %/\1/p' <<<"$out")
[ "$ratio" -le 110 ]
