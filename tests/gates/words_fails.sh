#!/usr/bin/env bash
# The words gate sees each of these.
set -euo pipefail
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

expect_failure() {
    echo "$1" >"$tree/file.c"
    if bash tests/gates/words.sh "$tree" >/dev/null; then
        echo "not seen: $1"
        exit 1
    fi
}

if bash tests/gates/words.sh "$tree"; then
    echo "an empty tree passed"
    exit 1
fi
work=work # apart, so that this file holds no such path itself
echo 'mktemp /tmp/pipit.XXXXXX; see $root/home/page and a/'$work'/b' >"$tree/file.c"
bash tests/gates/words.sh "$tree"
expect_failure '// TODO: the rest'
expect_failure '/* FIXME */'
expect_failure 'char *file = "/home/somebody/file";'
expect_failure "cd /$work/tree"
