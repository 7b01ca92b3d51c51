#!/usr/bin/env bash
# logs.sh FOLDER: no line of FOLDER/logs/* has one of the lines of FOLDER/secrets in it, nor a verification code, but for the
# line that development mode is there for. A run without logs or without secrets has shown nothing, and fails.
set -uo pipefail
export LC_ALL=C
secrets=$1/secrets
# On a terminal a log line may come in the place of what was being typed, which is erased before it.
erased=$'([^0-9]*\e\\[K)?'
development='^[^:]*:[0-9]+:'$erased'[0-9]+\.[0-9]{3} warn  api: code for [^ ]+ is [^ ]+ \(development mode\)$'
fail() {
    echo "$*"
    exit 1
}

logs=$(find "$1/logs" -type f -size +0 2>/dev/null | wc -l)
[ "$logs" -gt 0 ] || fail "there are no logs in $1/logs"
[ -s "$secrets" ] || fail "no test has noted a secret in $secrets"
! grep -q '^.\{0,7\}$' "$secrets" || fail "$secrets has a line that is too short to mean anything"
! grep -rnFf "$secrets" "$1/logs" || fail "that is a secret in a log"
! grep -rnE '\bcode\b.*\b[0-9]{6}\b' "$1/logs" | grep -vE "$development" || fail "that is a verification code in a log"
echo "$logs logs have none of $(wc -l <"$secrets") secrets in them"
