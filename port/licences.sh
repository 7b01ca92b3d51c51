#!/usr/bin/env bash
# Lists what Pipit is built with: the source trees below $1, whose code is in the firmware, and the host libraries that
# only the simulator, the console client and the tests link. Fails when a licence is not the one named here.
set -euo pipefail

trees=${1:?usage: licences.sh DIR}
status=0

row() {
    printf '%-14s %-10s %-36s %s\n' "$@"
}

# The number that follows the name of a macro, of several macros joined with dots.
version() {
    local file=$1 macro number all=
    shift
    for macro in "$@"; do
        number=$(awk -v macro="$macro" '$1 == "#define" && $2 == macro { gsub(/[^0-9.]/, "", $3); print $3; exit }' "$file")
        all=${all:+$all.}$number
    done
    echo "$all"
}

# NAME VERSION LICENCE FILE PHRASE: the phrase is one that the licence's text must hold.
tree() {
    row "$1" "$2" "$3" "$4"
    tr -s ' \n*' ' ' <"$4" | grep -qF "$5" || { echo "licences.sh: $4 is not the text of $3" >&2; status=1; }
}

# PACKAGE LICENCE USE: Debian keeps each package's licence in its copyright file.
host() {
    local found
    found=$(dpkg-query -W -f '${Version}' "$1" 2>/dev/null) || return 0
    row "$1" "${found%%-*}" "$2" "/usr/share/doc/$1/copyright"
}

echo "In the firmware:"
tree lwip "$(version "$trees/lwip/src/include/lwip/init.h" LWIP_VERSION_MAJOR LWIP_VERSION_MINOR LWIP_VERSION_REVISION)" \
    BSD-3-Clause "$trees/lwip/COPYING" "Redistribution and use in source and binary forms"
tree mbedtls "$(version "$trees/mbedtls/include/mbedtls/build_info.h" MBEDTLS_VERSION_STRING)" \
    "Apache-2.0 OR GPL-2.0-or-later" "$trees/mbedtls/LICENSE" "Apache License"
tree cjson "$(version "$trees/cjson/cJSON.h" CJSON_VERSION_MAJOR CJSON_VERSION_MINOR CJSON_VERSION_PATCH)" \
    MIT "$trees/cjson/LICENSE" "Permission is hereby granted, free of charge"
tree nanopb "$(sed -n 's/^#define NANOPB_VERSION .*nanopb-\([0-9.]*\).*/\1/p' "$trees/nanopb/pb.h")" \
    Zlib "$trees/nanopb/LICENSE.txt" "This software is provided 'as-is'"
echo
echo "On the host, as Debian packages: the simulator links libslirp and GLib, the console client the rest; the build runs protoc, the tests cmocka and grpcio:"
host libslirp-dev "BSD-3-Clause"
host libglib2.0-dev "LGPL-2.1-or-later"
host libwebsockets-dev "MIT"
host libreadline-dev "GPL-3.0-or-later"
host libcjson-dev "MIT"
host libcmocka-dev "Apache-2.0"
host protobuf-compiler "BSD-3-Clause"
host python3-grpcio "Apache-2.0"
exit $status
