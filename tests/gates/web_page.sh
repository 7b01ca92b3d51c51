#!/usr/bin/env bash
# The page at / is at most 14,336 bytes compressed, and the same sources give the same bytes, wherever they are made.
set -euo pipefail
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
sources=(clients/web/*.html clients/web/*.css clients/web/*.js)
for once in 1 2; do
    (cd / && TZ=Asia/Tokyo python3 -B "$OLDPWD/clients/web/bundle.py" --most 14336 -o "$made/$once/page.c" "${sources[@]/#/$OLDPWD/}")
done
cmp "$made/1/page.c" "$made/2/page.c"
grep -q 'const struct http_constant web_page = {bytes, [0-9]*, [0-9]*, [0-9]*};' "$made/1/page.c"
