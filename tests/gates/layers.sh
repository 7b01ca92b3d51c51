#!/usr/bin/env bash
# The arrows between the rooms hold.
exec python3 tests/gates/layers.py .
