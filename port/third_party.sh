#!/usr/bin/env bash
# Fetches the sources of $2... (lwip, mbedtls, cjson, nanopb) as Debian source packages (suite trixie) into the folder of the
# stamp $1, through apt's own signed channel, and then writes the stamp. The archive's address and keyring are those the
# machine is configured with; a private apt configuration leaves everything else of the machine as it is, so this needs
# no root.
set -euo pipefail

stamp=${1:?usage: third_party.sh STAMP NAME...}
shift
target=${stamp%/*}
packages=("$@")
suite=trixie

fail() {
    echo "third_party.sh: $*" >&2
    exit 1
}

# "ADDRESS KEYRING" of every Debian archive that apt knows, out of deb822 files and one-line lists; "-" for no keyring.
archives() {
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '
        function flush() { if (uri != "") print uri, keyring; uri = ""; keyring = "-" }
        BEGIN { keyring = "-" }
        /^[ \t]*$/ { flush() }
        tolower($1) == "uris:" { uri = $2 }
        tolower($1) == "signed-by:" && $2 ~ /^\// { keyring = $2 }
        END { flush() }' || true
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '
        $1 == "deb" {
            uri = ""; keyring = "-"
            for (i = 2; i <= NF; i++) {
                if (match($i, /signed-by=\/[^] ]*/)) keyring = substr($i, RSTART + 10, RLENGTH - 10)
                else if (uri == "" && $i ~ /:\//) uri = $i
            }
            if (uri != "") print uri, keyring
        }' || true
}

# One source package: downloaded by apt, which checks it against the signed index, then unpacked in one step.
fetch() {
    local package=$1 tarball
    rm -f "$download/${package}"_*
    # Debian's own changes are not used, and their file is missing from the archive at times: what counts is upstream's,
    # which apt leaves here only when it is what the signed index says.
    (cd "$download" && apt-get source -qq --download-only "$package/$suite") 2>"$download/apt.log" || true
    tarball=$(ls "$download/${package}"_*.orig.tar.* 2>/dev/null | grep -v '\.asc$') ||
        { cat "$download/apt.log" >&2; fail "could not download the source of $package; try again, or use THIRD_PARTY=DIR."; }
    rm -rf "${target:?}/$package" "$target/$package.new"
    mkdir -p "$target/$package.new"
    tar -xf "$tarball" -C "$target/$package.new" --strip-components=1 --no-same-owner
    mv "$target/$package.new" "$target/$package"
    echo "  $(basename "$tarball")"
}

command -v apt-get >/dev/null || fail "there is no apt here; unpack lwip, mbedtls, cjson and nanopb below a folder and use THIRD_PARTY=DIR."
read -r archive keyring < <(archives | grep -E '/debian/? ' | head -n 1) ||
    fail "apt knows no Debian archive; name one in /etc/apt/sources.list, or use THIRD_PARTY=DIR."
[ "$keyring" != - ] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is missing; install debian-archive-keyring, or use THIRD_PARTY=DIR."

mkdir -p "$target/download/lists/partial"
download=$(cd "$target/download" && pwd)
echo "deb-src [signed-by=$keyring] $archive $suite main" >"$download/sources.list"
cat >"$download/apt.conf" <<CONF
Dir::Etc::SourceList "$download/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$download/lists";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "";
CONF
export APT_CONFIG=$download/apt.conf

echo "Fetching the sources of ${packages[*]} (Debian $suite) into $target"
apt-get update -qq || fail "could not read the index of $archive; is there a network? THIRD_PARTY=DIR uses trees you have."
for package in "${packages[@]}"; do
    fetch "$package"
done
echo "# ${packages[*]} are unpacked." >"$stamp"
