#!/usr/bin/env bash
# Innocent logs pass tests/logs.sh, also with the lines that development mode is there for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/logs"
echo 'correct-horse-battery' >"$folder/secrets"
cat >"$folder/logs/1.log" <<'LOG'
12.345 info  users: alice registered, uid 1
12.346 warn  api: code for alice@example.com is 123456 (development mode)
0000 alice, uid 1: logged in 123456 s ago, expires in 86400 s
LOG
tests/logs.sh "$folder"
