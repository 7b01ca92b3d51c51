#!/usr/bin/env bash
# Instructions for one received segment, from the IP layer to its connection's slot, with 10 and with 1,000 connections.
# Two runs that differ in nothing but the number of segments are subtracted, so the handshakes don't count. The last
# line is the ratio in percent. `segment.sh slow` leaves out the look-up.
set -euo pipefail
program=${B:-build/sim}/tests/bench/segment

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=ip4_input "$program" "$@" 2>&1 |
        sed -n 's/.*Collected : //p'
}

per_segment() {
    local connections=$1 few=1000 many=5000
    local more less
    less=$(instructions "$connections" $few ${2:-})
    more=$(instructions "$connections" $many ${2:-})
    echo $(((more - less) / (many - few)))
}

ten=$(per_segment 10 "${1:-}")
thousand=$(per_segment 1000 "${1:-}")
echo "a received segment: $ten instructions with 10 connections, $thousand with 1000"
echo "ratio: $((thousand * 100 / ten)) %"
