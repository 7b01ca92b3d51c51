#!/usr/bin/env bash
# The layers gate sees each kind of wrong include, and nothing wrong in a clean tree.
set -euo pipefail
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

clean_tree() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree"/{app,port,sim,services/{proto,hub,users,gateway,verify,status}}
    touch "$tree"/app/{limits,config}.h "$tree"/port/{port,net,span,text,net_private}.h \
        "$tree"/services/{service.h,proto/ws.h,hub/hub.h,hub/ring.h,users/users.h,verify/verify.h,verify/codes.h,status/status.h}
    echo '#include "../verify/codes.h"' >"$tree/services/gateway/api.c"
    echo '#include "../services/hub/hub.h"' >"$tree/app/services.c"
    printf '%s\n' '#include "ring.h"' '#include "../../port/net.h"' '#include "../../app/limits.h"' '#include "../proto/ws.h"' \
        '#include "../users/users.h"' '#include <string.h>' >"$tree/services/hub/hub.c"
    echo '#include "lwip/tcp.h"' >"$tree/port/net.c"
}

# expect_failure FILE LINE: the gate must name FILE once it holds LINE.
expect_failure() {
    clean_tree
    mkdir -p "$(dirname "$tree/$1")"
    echo "$2" >>"$tree/$1"
    if python3 tests/gates/layers.py "$tree" >"$tree.out"; then
        echo "not seen: '$2' in $1"
        rm -f "$tree.out"
        exit 1
    fi
    grep -q "^$1:" "$tree.out" || { cat "$tree.out"; exit 1; }
    rm -f "$tree.out"
}

clean_tree
python3 tests/gates/layers.py "$tree"
expect_failure services/hub/hub.c '#include <lwip/tcp.h>'
expect_failure services/hub/hub.c '#include "lwip/tcp.h"'
expect_failure services/hub/hub.c '#include "../../app/config.h"'
expect_failure services/hub/hub.c '#include "config.h"'
expect_failure services/hub/hub.c '#include "../../port/net_private.h"'
expect_failure services/hub/hub.c '#include <stdio.h>'
expect_failure services/hub/hub.c '  #  include <stdlib.h>'
expect_failure services/gateway/gateway.c '#include "../hub/ring.h"'
expect_failure services/gateway/api.c '#include "../verify/verify.h"'
expect_failure services/gateway/api.c '#include "../status/status.h"'
expect_failure services/proto/ws.c '#include "../hub/hub.h"'
expect_failure services/proto/ws.c '#include "../../port/net.h"'
expect_failure services/proto/ws.c '#include "../../app/limits.h"'
expect_failure port/net.c '#include "../services/service.h"'
expect_failure port/net.c '#include "../app/config.h"'
expect_failure app/config.c '#include <lwip/ip.h>'
expect_failure sim/main.c '#include "../services/hub/hub.h"'
expect_failure library/more.c ''
rm -rf "${tree:?}"/*
if python3 tests/gates/layers.py "$tree"; then
    echo "an empty tree passed"
    exit 1
fi
