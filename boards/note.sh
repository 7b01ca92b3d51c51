#!/usr/bin/env bash
# note.sh FILE [--set KEY=VALUE | --config FILE | --certificates FILE | --seed HEX]...: writes the boot note
# (boards/common/note.h) that an emulator or a debugger hands to a board. The seed is a fresh one, unless a run has to repeat
# another one exactly.
set -euo pipefail

usage() {
    echo "note.sh: $1; it takes --set KEY=VALUE, --config FILE, --certificates FILE and --seed HEX." >&2
    exit 2
}

note=${1:?usage: note.sh FILE [--set KEY=VALUE]...}
shift
settings=
certificates=
seed=$(od -An -vtx1 -N64 /dev/urandom | tr -d ' \n')
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage "$1 needs a value"
    case $1 in
    --set) [[ $2 == *=* ]] || usage "--set $2 has no '='"; settings+="${2%%=*} = ${2#*=}"$'\n' ;;
    --config) settings+=$(<"$2")$'\n' ;;
    --seed) seed=$2 ;;
    --certificates) certificates+=$(<"$2")$'\n' ;;
    *) usage "'$1' is no option" ;;
    esac
    shift 2
done
umask 077
{
    printf 'pipit boot note 1\nseed = %s\n%s%s\0' "$seed" "$settings" "$certificates"
} >"$note"
