#!/usr/bin/env bash
# The bundler refuses, each time in a sentence: a page that is too large, a script that would end early, one that the page
# does not name.
set -uo pipefail
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
cp clients/web/*.html clients/web/*.css clients/web/*.js "$made"

refuses() {
    local sentence=$1 most=$2 said
    said=$(python3 -B clients/web/bundle.py --most "$most" -o "$made/out/page.c" "$made"/*.html "$made"/*.css "$made"/*.js 2>&1) &&
        { echo "it was let through, and should have been told: $sentence"; exit 1; }
    grep -q "$sentence" <<<"$said" || { echo "it was told '$said' and not: $sentence"; exit 1; }
}

refuses 'the page has [0-9]* bytes compressed and may have 9000: take [0-9]* away\.' 9000
echo 'const early = "</script>";' >>"$made/main.js"
refuses 'must not contain </' 99999
cp clients/web/main.js "$made"
echo 'let stray = 1;' >"$made/stray.js"
refuses 'page.html names the scripts' 99999
