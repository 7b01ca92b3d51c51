#!/usr/bin/env bash
# In every profile each byte of RAM has an owner, and the rows of `make ram` add up.
set -euo pipefail
for profile in sim medium small; do
    python3 tests/ram.py "build/$profile"
done
