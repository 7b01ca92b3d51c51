#!/usr/bin/env bash
# Without the look-up the gate must fail: lwIP's own search is linear, and more than twice as dear.
set -uo pipefail
out=$(bash tests/gates/segment_cost.sh slow) && { echo "it passed: $out"; exit 1; }
ratio=$(sed -n 's/ratio: \([0-9]*\) %/\1/p' <<<"$out")
[ "${ratio:-0}" -gt 200 ] || { echo "failed, but not for that: $out"; exit 1; }
