#!/usr/bin/env bash
# run.sh [--set KEY=VALUE]...: starts a board in QEMU, with the console on the terminal. boards/boards.mk says in the
# environment which one. Options are those of boards/note.sh. GDB=1 halts it at the start with gdb attached.
set -euo pipefail

elf=$B/pipit.elf
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The emulated board is for trying out: development mode, and no limit by address, since behind QEMU's user network all
# clients have the same one. Whoever gives settings of their own goes last and wins.
settings=(--set dev.echo_code=1 --set net.per_address=0 --set mail.per_address=0)

# An array may not be longer than what the board keeps for it.
note_size() {
    "$NM" -S "$elf" | awk '$4 == "boot_note" { print $2 }'
}

note_address() {
    "$NM" "$elf" | awk '$3 == "boot_note" { print "0x" $1 }'
}

forwards() {
    local pair
    for pair in ${FORWARD:-8080:80}; do
        [[ $pair =~ ^[0-9]+:[0-9]+$ ]] || { echo "FORWARD=$pair: give it as HOSTPORT:DEVICEPORT, such as 8080:80." >&2; exit 2; }
        printf ',hostfwd=tcp:127.0.0.1:%s-:%s' "${pair%:*}" "${pair#*:}"
    done
}

boards/note.sh "$folder/note" "${settings[@]}" "$@"
[ "$(stat -c %s "$folder/note")" -le $((16#$(note_size))) ] ||
    { echo "run.sh: the settings are longer than the board's boot note, $((16#$(note_size))) bytes." >&2; exit 2; }

read -r -a command <<<"$QEMU"
command+=(-display none -monitor none -serial "${SERIAL:-stdio}")
command+=(-netdev "user,id=net${NET_OPTIONS:-}$(forwards)")
if [ -n "${NIC_DEVICE:-}" ]; then
    command+=(-device "$NIC_DEVICE,netdev=net")
else
    command+=(-net "nic,model=$NIC_MODEL,netdev=net")
fi
command+=(-device "loader,file=$folder/note,addr=$(note_address),force-raw=on" -kernel "$elf")
[ -z "${GDB:-}" ] || command+=(-S -gdb tcp:127.0.0.1:3333)

echo "${command[*]}"
for pair in ${FORWARD:-8080:80}; do
    echo "$BOARD's port ${pair#*:} is 127.0.0.1:${pair%:*}"
done
if [ -n "${GDB:-}" ]; then
    SERIAL= "${command[@]}" </dev/null >"$B/console.log" &
    trap 'kill $! 2>/dev/null; rm -rf "$folder"' EXIT
    echo "The console goes to $B/console.log."
    gdb-multiarch -q -ex 'target remote 127.0.0.1:3333' "$elf"
else
    "${command[@]}"
fi
