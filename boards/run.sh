#!/usr/bin/env bash
# run.sh [--set KEY=VALUE]...: starts a board in QEMU, with the console on the terminal. Options are those of boards/note.sh;
# boards/boards.mk says in the environment which board, and a user or a test may set there
#
#     FORWARD="8080:80 50051:50051"  ports of this machine that lead to the board's (8080:80 8443:443)
#     FRAMES=HERE:THERE              puts the UDP port HERE of this machine on the board's Ethernet too: a datagram from the
#                                    port THERE is a frame, and every frame of the wire goes there
#     OUTSIDE=HERE:THERE             with FRAMES: takes QEMU's user network off that Ethernet and puts it on the UDP port HERE
#                                    in the same way; whoever has both carries frames between them, or does not
#     MONITOR=PORT                   QEMU's monitor on a TCP port
#     NOTE=none                      hands over no boot note: the board starts as if it had just been switched on
#     ELF=FILE                       another program than the board's own
#     QEMU_OPTIONS                   more options of QEMU's
#     GDB=1                          halts at the start, with gdb attached; the console goes to a file
set -euo pipefail

fail() {
    echo "run.sh: $*" >&2
    exit 2
}

elf=${ELF:-$B/pipit.elf}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The emulated board is for trying out: development mode, and no limit by address, since behind QEMU's user network all
# clients have the same one. A user's own settings come later and win.
settings=(--set dev.echo_code=1 --set net.per_address=0 --set mail.per_address=0)

note_options() {
    local address size
    read -r address size < <("$NM" -S "$elf" | awk '$4 == "boot_note" { print $1, $2 }')
    boards/note.sh "$folder/note" "${settings[@]}" "$@"
    [ "$(stat -c %s "$folder/note")" -le $((16#$size)) ] || fail "the settings are longer than the board's boot note of $((16#$size)) bytes."
    # An open file outlives its name: QEMU reads it after this script has become QEMU.
    exec {note}<"$folder/note"
    command+=(-device "loader,file=/proc/self/fd/$note,addr=0x$address,force-raw=on")
}

forwards() {
    local pair
    for pair in ${FORWARD:-8080:80 8443:443}; do
        [[ $pair =~ ^[0-9]+:[0-9]+$ ]] || fail "FORWARD=$pair: give it as HOSTPORT:DEVICEPORT, such as 8080:80."
        printf ',hostfwd=tcp:127.0.0.1:%s-:%s' "${pair%:*}" "${pair#*:}"
    done
}

# A network of frames in datagrams, named $1, at the ports $2.
frames_of() {
    printf 'socket,id=%s,udp=127.0.0.1:%s,localaddr=127.0.0.1:%s' "$1" "${2#*:}" "${2%:*}"
}

network_options() {
    local forwards
    forwards=$(forwards)
    if [ -z "${FRAMES:-}" ]; then
        command+=(-netdev "user,id=net$forwards")
    else
        command+=(-netdev "user,id=user$forwards" -netdev "$(frames_of frames "$FRAMES")" -netdev hubport,id=hub1,hubid=1,netdev=user)
        if [ -z "${OUTSIDE:-}" ]; then
            command+=(-netdev hubport,id=hub2,hubid=1,netdev=frames -netdev hubport,id=net,hubid=1)
        else
            command+=(-netdev "$(frames_of outside "$OUTSIDE")" -netdev hubport,id=hub2,hubid=1,netdev=outside)
            command+=(-netdev hubport,id=hub3,hubid=2,netdev=frames -netdev hubport,id=net,hubid=2)
        fi
    fi
    if [ -n "${NIC_DEVICE:-}" ]; then
        command+=(-device "$NIC_DEVICE,netdev=net")
    else
        command+=(-net "nic,model=$NIC_MODEL,netdev=net")
    fi
}

read -r -a command <<<"$QEMU -display none -kernel $elf ${QEMU_OPTIONS:-}"
command+=(-monitor "$([ -z "${MONITOR:-}" ] && echo none || echo "tcp:127.0.0.1:$MONITOR,server=on,wait=off")")
network_options
[ "${NOTE:-}" = none ] || note_options "$@"

if [ -n "${GDB:-}" ]; then
    command+=(-serial "file:$B/console.log" -S -gdb tcp:127.0.0.1:3333)
    echo "${command[*]}"
    "${command[@]}" </dev/null &
    trap 'kill $! 2>/dev/null; rm -rf "$folder"' EXIT
    echo "The console goes to $B/console.log."
    gdb-multiarch -q -ex 'target remote 127.0.0.1:3333' "$elf"
    exit
fi
command+=(-serial stdio)
echo "${command[*]}"
for pair in ${FORWARD:-8080:80 8443:443}; do
    echo "$BOARD's port ${pair#*:} is 127.0.0.1:${pair%:*}"
done
rm -rf "$folder"
exec "${command[@]}"
