#!/usr/bin/env bash
# note.sh FILE [--set KEY=VALUE | --config FILE | --certificates FILE]...: writes the boot note (boards/common/note.h) that an
# emulator or a debugger hands to a board, with a fresh seed in it.
set -euo pipefail

usage() {
    echo "note.sh: $1; it takes --set KEY=VALUE, --config FILE and --certificates FILE." >&2
    exit 2
}

note=${1:?usage: note.sh FILE [--set KEY=VALUE]...}
shift
settings=
certificates=
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage "$1 needs a value"
    case $1 in
    --set) [[ $2 == *=* ]] || usage "--set $2 has no '='"; settings+="${2%%=*} = ${2#*=}"$'\n' ;;
    --config) settings+=$(<"$2")$'\n' ;;
    --certificates) certificates+=$(<"$2")$'\n' ;;
    *) usage "'$1' is no option" ;;
    esac
    shift 2
done
umask 077
{
    printf 'pipit boot note 1\nseed = %s\n%s%s\0' "$(od -An -vtx1 -N64 /dev/urandom | tr -d ' \n')" "$settings" "$certificates"
} >"$note"
