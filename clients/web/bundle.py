#!/usr/bin/env python3
"""Makes one C constant of the page: `bundle.py --most BYTES -o page.c page.html style.css text.js ...`.

The style stands in the place of <!--style--> and the scripts, in the order of <!--script: text chat main-->, behind each
other in one block; squeeze.py makes them shorter. The whole is compressed for gzip, without a time or a name, so the same
sources give the same bytes; page.html, beside page.c, is what was compressed.

What is written is a struct http_constant: the fields of the reply's head that never change, the empty line, and the page.
The script and the style are named in Content-Security-Policy by their hashes; nothing else runs.
"""
import argparse
import base64
import hashlib
import os
import re
import subprocess
import sys

from squeeze import squeezed_script, squeezed_style

POLICY = ("default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src data:; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")

# Content-Type, Content-Encoding and Content-Length belong to a body; the rest comes with a 304 too (RFC 9110 section
# 15.4.5).
BODY_FIELDS = """Content-Type: text/html; charset=utf-8
Content-Encoding: gzip
Content-Length: {length}
"""
KEPT_FIELDS = """ETag: "{tag}"
Vary: Accept-Encoding
Cache-Control: no-cache
Content-Security-Policy: {policy}
X-Content-Type-Options: nosniff
Referrer-Policy: no-referrer
"""


def fail(sentence):
    sys.exit("bundle.py: " + sentence)


def squeezed_page(text):
    lines = "\n".join(line.strip() for line in text.splitlines() if line.strip())
    return re.sub(r'="([\w-]+)"(?=[ >])', r"=\1", lines)


def source_hash(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def read_sources(paths):
    sources = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            sources[os.path.basename(path)] = file.read()
    return sources


def assemble(sources):
    """The page as text, its script and its style."""
    page = squeezed_page(sources.pop("page.html"))
    style = squeezed_style(sources.pop("style.css"))
    order = re.search(r"<!--script: ([\w ]+)-->", page)
    names = [name + ".js" for name in order[1].split()] if order else []
    if sorted(names) != sorted(sources):
        fail(f"page.html names the scripts {names}, but there are {sorted(sources)}.")
    script = "\"use strict\";{" + squeezed_script("\n".join(sources[name] for name in names)) + "}"
    for text in (style, script):
        if "</" in text or "<!--" in text:
            fail("a script or style must not contain </ or <!--, which would end it early.")
    page = page.replace("<!--style-->", f"<style>{style}</style>").replace(order[0], f"<script>{script}</script>")
    return page, script, style


def compressed(path, page):
    """Through zopfli, which takes its time and is some 5 % shorter than gzip -9; its header has no time and no name."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
    return subprocess.run(["zopfli", "--i15", "-c", path], check=True, capture_output=True).stdout


def c_bytes(data):
    rows = (data[at:at + 24] for at in range(0, len(data), 24))
    return "\n".join("    " + "".join(f"{byte}," for byte in row) for row in rows)


def c_source(fields, kept, body, tag):
    data = fields + body
    return f"""// Made by clients/web/bundle.py.
#include "services/gateway/web.h"

static const uint8_t bytes[{len(data)}] = {{
{c_bytes(data)}
}};

const struct http_constant web_page = {{bytes, {kept}, {len(fields)}, {len(data)}}};
const char web_page_tag[] = "{tag}";
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, required=True)
    parser.add_argument("-o", dest="output", required=True)
    parser.add_argument("sources", nargs="+")
    options = parser.parse_args()
    page, script, style = assemble(read_sources(options.sources))
    os.makedirs(os.path.dirname(options.output) or ".", exist_ok=True)
    body = compressed(os.path.splitext(options.output)[0] + ".html", page)
    if len(body) > options.most:
        fail(f"the page has {len(body)} bytes compressed and may have {options.most}: take {len(body) - options.most} away.")
    policy = POLICY.format(script=source_hash(script), style=source_hash(style))
    tag = hashlib.sha256(policy.encode() + body).hexdigest()[:16]
    first = BODY_FIELDS.format(length=len(body))
    fields = first + KEPT_FIELDS.format(tag=tag, policy=policy) + "\n"
    with open(options.output, "w", encoding="utf-8") as file:
        file.write(c_source(fields.replace("\n", "\r\n").encode(), len(first) + first.count("\n"), body, tag))
    print(f"  the page: {len(page.encode())} bytes, compressed {len(body)} of {options.most}")


main()
