#!/usr/bin/env python3
"""Holds the #include lines below a root (the argument, else the working folder) to the arrows between the rooms:

app -> services -> services/proto, services -> port; only port/, boards/, sim/ and app/main.c see lwIP; services see
each other's public headers only; nobody below app/ sees app/ but for its limits.h.
"""
import os
import re
import sys

PORT = ["port/port.h", "port/net.h", "port/tls/tls.h", "port/span.h", "port/text.h", "port/log.h", "port/pool.h", "port/trail.h",
        "port/scratch.h"]
# What services may call of each other. The verify and the status service are reached through gRPC alone, so they are not
# here; codes.h is a table that both the verify service and the gate keep one of.
PUBLIC = ["services/users/users.h", "services/users/journal.h", "services/hub/hub.h", "services/verify/codes.h", "services/echo/echo.h", "services/https/https.h", "services/nodes/nodes.h",
          "services/mail/mail.h", "services/rpc/rpc.h", "services/rpc/server.h", "services/rpc/channel.h",
          "services/rpc/message.h"]
# What the firmware may take from the C library: nothing that has a heap, a file or a locale behind it.
C = ["<stdarg.h>", "<stdbool.h>", "<stddef.h>", "<stdint.h>", "<stdalign.h>", "<limits.h>", "<string.h>"]
LWIP = ["<lwip/", "<netif/", "<arch/"]
MBEDTLS = ["<mbedtls/"]
PSA = ["<psa/"]  # mbedTLS's too
CJSON = ["<cJSON.h>"]
NANOPB = ["<pb.h>", "<pb_common.h>", "<pb_decode.h>", "<pb_encode.h>", "<services/"]  # <services/.../NAME.pb.h> is generated

# room: the first whose path begins the file's. may: what an include must begin with; OWN is the file's own folder.
OWN = "own folder"
ROOMS = [
    ("app/main.c",      ["app/", "port/", "services/"] + C + LWIP),
    ("app/",            ["app/", "port/", "services/"] + C + MBEDTLS),
    ("port/",           ["port/", "app/limits.h"] + C + LWIP + MBEDTLS + PSA),
    ("services/proto/", ["services/proto/", "port/span.h", "port/text.h"] + C + MBEDTLS),
    ("services/",       [OWN, "services/service.h", "services/proto/", "app/limits.h"] + PORT + PUBLIC + C + MBEDTLS + CJSON + NANOPB),
    ("sim/",            ["sim/", "app/", "port/", "<"]),
    ("boards/",         ["boards/", "app/", "port/", "<"]),
    ("clients/",        [OWN, "<"]),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SEARCH = ["", "app", "port", "port/arch"]  # the -iquote of the Makefile


def target_of(root, path, mark, name):
    """The included file below the root, or <name> when it is not one of ours."""
    folders = [os.path.dirname(path)] + SEARCH
    for folder in folders if mark == '"' else []:
        inside = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(root, inside)):
            return inside
    return "<" + name + ">"


def allowed(path, target, may):
    own = os.path.dirname(path) + "/"
    return any(target.startswith(own if prefix is OWN else prefix) for prefix in may)


def check_file(root, path, may):
    wrong = 0
    with open(os.path.join(root, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            target = target_of(root, path, *found.groups())
            if not allowed(path, target, may):
                print(f"{path}:{number}: {path} must not include {target}")
                wrong += 1
    return wrong


def sources(root):
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in ("build", "node_modules") and not name.startswith(".")]
        for name in names:
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(folder, name), root)


def main(root):
    seen = wrong = 0
    for path in sorted(sources(root)):
        may = next((may for room, may in ROOMS if path.startswith(room)), None)
        if may is not None:
            seen += 1
            wrong += check_file(root, path, may)
        elif not path.startswith("tests/"):
            print(f"{path}: no room of the house")
            wrong += 1
    print(f"{seen} files, {wrong} includes or files out of place")
    return 1 if wrong or not seen else 0


sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
