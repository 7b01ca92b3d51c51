#!/usr/bin/env bash
# Nothing is left to do in the sources below $1 (else here), and no path of somebody's machine is in them.
set -uo pipefail
cd "${1:-.}" || exit 1

words='\b(TODO|FIXME|XXX|HACK)\b|(^|[^A-Za-z0-9._$}/-])/(home|root|work|Users)/'
found=$(grep -rInE --exclude-dir={build,node_modules,.git,corpus} --exclude={words,words_fails}.sh --exclude=package-lock.json \
    "$words" . || true)
[ -n "$(find . -maxdepth 2 -type f -print -quit)" ] || { echo "there are no files"; exit 1; }
[ -z "$found" ] || { echo "$found"; exit 1; }
