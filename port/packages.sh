#!/usr/bin/env bash
# Looks whether the Debian packages of the sets $2... are installed, and installs those that are not through apt-get.
# Writes the stamp $1 when all are there. Without anything missing it touches no network.
set -euo pipefail

stamp=${1:?usage: packages.sh STAMP SET...}
shift

# libclang-rt holds libFuzzer and is named after the compiler's version.
clang_major() {
    clang -dumpversion 2>/dev/null | cut -d . -f 1 | grep . && return
    [ "$(. /etc/os-release && echo "${VERSION_ID:-}")" = 12 ] && echo 14 || echo 19
}

# A node from elsewhere is used as it is.
node_packages() {
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
}

packages_of() {
    case $1 in
    # Debian 12's libslirp-dev forgets that its header includes glib's.
    build) echo gcc libc6-dev make pkg-config libslirp-dev libglib2.0-dev xz-utils bzip2 ca-certificates debian-archive-keyring \
        protobuf-compiler python3 python3-protobuf zopfli ;;
    clients) echo libwebsockets-dev libreadline-dev libcjson-dev ;;
    test) echo libcmocka-dev curl valgrind iproute2 util-linux python3 python3-grpcio nghttp2-client openssl dnsmasq-base chromium fonts-noto-cjk $(node_packages) ;;
    tools) echo python3 ;;
    lint) echo clang-tidy cppcheck clang-format ;;
    arm) echo gcc-arm-none-eabi picolibc-arm-none-eabi ;;
    riscv) echo gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf ;;
    qemu) echo qemu-system-arm qemu-system-misc gdb-multiarch ;;
    flash) echo openocd ;;
    fuzz) echo clang "libclang-rt-$(clang_major)-dev" ;;
    *) fail "there is no package set '$1'" ;;
    esac
}

fail() {
    echo "packages.sh: $*" >&2
    exit 1
}

missing_of() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || echo "$package"
    done
}

# As root at once, else through sudo.
administrator() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

install_packages() {
    local log=${stamp%/*}/apt.log
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        fail "these Debian packages are missing: $*. Installing them needs root: as root, run 'apt-get install $*'."
    fi
    echo "Installing the Debian packages that '$sets' needs, with apt-get$([ "$(id -u)" = 0 ] || echo ' through sudo'): $*"
    administrator apt-get -q -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 </dev/null ||
        { tail -n 20 "$log" >&2; fail "apt-get update failed; the whole output is in $log."; }
    administrator env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends \
        install "$@" >>"$log" 2>&1 </dev/null ||
        { tail -n 20 "$log" >&2; fail "apt-get install failed; the whole output is in $log."; }
}

sets=$*
wanted=()
for set in "$@"; do
    list=$(packages_of "$set") # not in the for below: there a failure would go unseen
    for package in $list; do
        wanted+=("$package")
    done
done

mkdir -p "${stamp%/*}"
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    mapfile -t missing < <(missing_of "${wanted[@]}")
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
else
    echo "This is not a Debian machine: please have installed what Debian calls ${wanted[*]}." >&2
fi
echo "# Packages of '$sets' are there." >"$stamp"
