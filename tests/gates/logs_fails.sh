#!/usr/bin/env bash
# tests/logs.sh sees a secret, and a code outside of the one line that may have it; it does not pass with nothing to see.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fails() {
    if tests/logs.sh "$folder"; then
        echo "it passed: $1"
        exit 1
    fi
}

fails 'no logs, no secrets'
mkdir "$folder/logs"
echo '1.000 info  net: up' >"$folder/logs/1.log"
fails 'no secrets'
echo 'correct-horse-battery' >"$folder/secrets"
tests/logs.sh "$folder"
for line in '1.001 debug mail: AUTH correct-horse-battery' \
    '1.001 info  api: the code for alice@example.com is 123456' \
    '1.001 warn  verify: code for a@b.c is 123456 (development mode)' \
    '1.001 warn  api: code for a@b.c is 123456 (development mode) 123456'; do
    echo "$line" >"$folder/logs/2.log"
    fails "$line"
done
rm "$folder/logs/2.log"
echo >>"$folder/secrets"
fails 'an empty line is in every log'
