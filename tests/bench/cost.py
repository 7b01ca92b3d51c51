#!/usr/bin/env python3
"""cost.py FILE BOARD FIRST SECOND [--update]: reads the lines "NAME INSTRUCTIONS" of two runs, which must agree, and compares
the first with the board's figures in FILE: more than 5 % away, in either direction, fails, and so does what is on one side
only. --update writes them there instead."""
import json
import sys

MOST = 0.05
JITTER = 0.005


def verdict(name, now, kept):
    if kept is None:
        return "has no figure to compare with"
    if abs(now - kept) <= MOST * kept:
        return None
    return f"is {100 * (now - kept) / kept:+.1f} % away from {kept}"


def read(path):
    with open(path, encoding="utf-8") as file:
        return {name: int(number) for name, number in (line.split() for line in file if line.strip())}


def jitter(name):
    # The random numbers of a handshake decide how long its arithmetic takes, and virt-rv32 draws others each time.
    return MOST if name.startswith("tls") else JITTER


def agree(first, second):
    return first.keys() == second.keys() and all(abs(first[name] - second[name]) <= jitter(name) * first[name] for name in first)


def main(path, board, first, second, update):
    figures, again = read(first), read(second)
    if not agree(figures, again):
        print(f"{board}: two runs differ: {figures} and {again}")
        return 1
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
    except FileNotFoundError:
        kept = {}
    wrong = 0 if figures else 1
    for name, now in figures.items():
        why = None if update else verdict(name, now, kept.get(board, {}).get(name))
        print(f"{board:<14} {name:<16} {now:>12} instructions{'  ' + why if why else ''}")
        wrong += why is not None
    missing = set(kept.get(board, {})) - set(figures)
    if update:
        kept[board] = figures
        with open(path, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=4, sort_keys=True)
            file.write("\n")
        return 0
    if missing:
        print(f"{board}: not measured: {', '.join(sorted(missing))}")
    if wrong:
        print(f"{board}: when the change is meant, write the new figures with: make BOARD={board} cost UPDATE=1")
    return int(wrong > 0 or bool(missing))


sys.exit(main(*sys.argv[1:5], "--update" in sys.argv[5:]))
