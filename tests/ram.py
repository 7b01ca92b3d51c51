#!/usr/bin/env python3
"""Prints who owns how many bytes of RAM in one build of the firmware: `ram.py build/sim` reads the objects named in
build/sim/libpipit.objects, of any ELF machine, through readelf. Slots are counted from the arrays' types in the debug
information. Every byte of every writable section must belong to a row, else it fails.

`ram.py build/BOARD --flash BYTES` reads what the linker has made of a board's objects, pipit.elf and pipit.map, instead: only
what is linked, the stack and what alignment leaves empty included. It fails when the rows do not add up to the linker's own
figure, or the program is larger than BYTES."""
import argparse
import re
import subprocess
import sys
from collections import namedtuple

Variable = namedtuple("Variable", "owner name size each slots")
SMALL = 128  # bytes; smaller variables of an owner are one row
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"}
# What one of a thing takes when it is spread over several variables: a slot of the first names the number of slots, and
# each of the others gives a slot, or that part of itself.
SUMS = (
    ("an HTTP/2 connection of the gRPC server, with its streams", ("rpc_connections", "rpc_streams")),
    ("an HTTP/2 connection of the gate's, with its streams", ("channels", "channel_streams")),
    ("a mail session, with TLS where there is any", ("mail_sessions", "tls_sessions", "tls_arena")),
)
SECTION = re.compile(r"^\s*\[\s*(\d+)\]\s+(\S+)\s+(PROGBITS|NOBITS)\s+\S+\s+\S+\s+([0-9a-f]+)\s+\S+\s+(\S+)")
SYMBOL = re.compile(r"^\s*\d+:\s+([0-9a-f]+)\s+(\d+|0x[0-9a-f]+)\s+(OBJECT|TLS)\s+\S+\s+\S+\s+(\d+|COM)\s+(\S+)")
ENTRY = re.compile(r"^ <(\d+)><([0-9a-f]+)>: Abbrev Number: \d+ \((\w+)\)")
ATTRIBUTE = re.compile(r"^    <[0-9a-f]+>\s+(DW_AT_\w+)\s*: ?(.*)$")


def readelf(option, path):
    return subprocess.run(["readelf", *option.split(), path], env=ENVIRONMENT, check=True, capture_output=True,
                          text=True, errors="replace").stdout.splitlines()


def writable_sections(path):
    """number: (name, size) of what lies in RAM. A constant that holds an address (.data.rel.ro) is in a position
    independent program's data only because the loader fills the address in; on a board it stays in flash."""
    sections = {}
    for line in readelf("-SW", path):
        found = SECTION.match(line)
        if found and "W" in found[5] and "A" in found[5] and not found[2].startswith(".data.rel.ro"):
            sections[found[1]] = (found[2], int(found[4], 16))
    return sections


def attribute_value(text):
    """"(indirect string, offset: 0x1f): clients_slots" and "<0x2d>" and "11" without their wrapping."""
    return text.rsplit("): ", 1)[-1].strip().strip("<>")


def debug_entries(path):
    """offset: (tag, attributes, offsets of the children) of all debug information entries."""
    entries, parents, attributes = {}, [], {}
    for line in readelf("--debug-dump=info", path):
        entry = ENTRY.match(line)
        if entry:
            depth, offset = int(entry[1]), entry[2]
            attributes = {}
            entries[offset] = (entry[3], attributes, [])
            del parents[depth:]
            if parents:
                entries[parents[-1]][2].append(offset)
            parents.append(offset)
            continue
        attribute = ATTRIBUTE.match(line)
        if attribute:
            attributes[attribute[1]] = attribute_value(attribute[2])
    return entries


def type_of(entries, attributes):
    """The entry of a variable's type, behind typedefs and qualifiers."""
    seen = attributes.get("DW_AT_type", "")[2:]
    while seen in entries and entries[seen][0] in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type"):
        seen = entries[seen][1].get("DW_AT_type", "")[2:]
    return entries.get(seen, ("", {}, []))


def array_slots(entries, kind):
    """The elements of an array type; a buffer of bytes counts as one slot."""
    tag, attributes, children = kind
    if tag != "DW_TAG_array_type" or not children:
        return 1
    element = type_of(entries, attributes)
    if len(children) == 1 and element[0] == "DW_TAG_base_type" and element[1].get("DW_AT_byte_size") == "1":
        return 1
    bound = entries[children[0]][1].get("DW_AT_upper_bound")
    return int(bound, 0) + 1 if bound else 1


def slots_of(path):
    """name: elements, of every variable that is an array."""
    entries, slots = debug_entries(path), {}
    for tag, attributes, _ in entries.values():
        if tag == "DW_TAG_variable":
            name, kind = attributes.get("DW_AT_name"), type_of(entries, attributes)
            if name is None and "DW_AT_specification" in attributes:
                name = entries.get(attributes["DW_AT_specification"][2:], ("", {}, []))[1].get("DW_AT_name")
            if name:
                slots[name] = max(slots.get(name, 1), array_slots(entries, kind))
    return slots


def hex_dump(section, path):
    """The bytes of a section, by number."""
    groups = (re.match(r"^\s+0x[0-9a-f]+ ((?:[0-9a-f]+ ){1,4})", line) for line in readelf("-x " + section, path))
    return bytes.fromhex("".join(found[1] for found in groups if found))


def lwip_pool(path, name, size):
    """(bytes a slot, slots): lwIP's pools are arrays of bytes; their descriptors hold the size of a slot and the number
    of slots, 16 bits each, little endian, behind at most two addresses. None when no such numbers fill the pool: then a
    size did not fit in its 16 bits, and lwIP's slots would overlap."""
    descriptor = name.removeprefix("memp_memory_").removesuffix("_base")
    for line in readelf("-sW", path):
        found = SYMBOL.match(line)
        if found and found[5] == "memp_" + descriptor:
            at = int(found[1], 16)
            data = hex_dump(found[4], path)[at:at + 20]
            for offset in range(0, len(data) - 3, 4):
                each, count = (int.from_bytes(data[i:i + 2], "little") for i in (offset, offset + 2))
                for alignment in (8, 4):
                    aligned = each + -each % alignment
                    if count > 0 and 0 <= size - aligned * count < 16:
                        return aligned, count
    return None


def misfit(name):
    sys.exit(f"{name}: lwIP's descriptor of this pool does not fit its memory; is a slot larger than 65535 bytes?")


def variables_of(path, owner):
    """The variables of one object, and what its sections hold that no variable accounts for."""
    sections, slots, variables = writable_sections(path), slots_of(path), []
    left = {number: size for number, (_, size) in sections.items()}
    seen = set()
    for line in readelf("-sW", path):
        found = SYMBOL.match(line)
        if not found or found[4] not in sections or (found[4], found[1]) in seen:
            continue
        seen.add((found[4], found[1]))  # an alias is no second variable
        size, name = int(found[2], 0), found[5]
        left[found[4]] -= size
        plain = re.sub(r"\.\d+$", "", name)  # a function's static variable is name.number
        if plain.startswith("memp_memory_"):
            each, count = lwip_pool(path, plain, size) or misfit(plain)
        else:
            count = slots.get(plain, 1)
            each = size // count
        variables.append(Variable(owner, plain, size, each, count))
    unowned = [(sections[number][0], size) for number, size in left.items() if size != 0]
    return variables, unowned


def owner_of(path, build):
    return path.removeprefix(build + "/").removesuffix(".o")


def shown_name(name):
    return name.removesuffix("_slots").removeprefix("memp_memory_").removesuffix("_base")


def shown_rows(variables):
    """(owner, what, bytes a slot, slots, total), the largest owners first; the small ones of an owner together."""
    owners = {}
    for variable in variables:
        owners.setdefault(variable.owner, []).append(variable)
    for owner, own in sorted(owners.items(), key=lambda item: -sum(v.size for v in item[1])):
        for v in sorted(own, key=lambda v: -v.size):
            if v.size >= SMALL:
                yield owner, shown_name(v.name), v.each, v.slots, v.size
        rest = [v.size for v in own if v.size < SMALL]
        if rest:
            yield owner, f"({len(rest)} small)", "", "", sum(rest)


LINKED_SECTION = re.compile(r"^(\.\w+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)( load address .*)?$")
LINKED_PART = re.compile(r"^ (\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) ?(\S.*)?$")
REGION = re.compile(r"^(\w+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+\S+$")


def map_lines(path):
    """The lines of a linker's map, those that it has broken behind a long name joined."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    joined = []
    for line in lines:
        if joined and re.match(r"^ ?\.?\S+$", joined[-1]) and re.match(r"^ {16}0x", line):
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
    return joined


def linked(build):
    """({region: (origin, length)}, {section: (address, size)}, [(section, part, size, object or None)])."""
    regions, sections, parts, section = {}, {}, [], None
    for line in map_lines(build + "/pipit.map"):
        region, whole, part = REGION.match(line), LINKED_SECTION.match(line), LINKED_PART.match(line)
        if region and not line.startswith("*"):
            regions[region[1]] = (int(region[2], 16), int(region[3], 16))
        elif whole:
            section = whole[1]
            sections[section] = (int(whole[2], 16), int(whole[3], 16))
        elif line and not line.startswith(" "):
            section = None  # what is thrown away, or has no place in memory
        elif part and section and int(part[3], 16) > 0 and (part[1].startswith(".") or part[1] in ("*fill*", "COMMON")):
            parts.append((section, part[1], int(part[3], 16), part[4]))
    return regions, sections, parts


def in_region(region, place):
    return region[0] <= place[0] < region[0] + region[1]


class Definitions:
    """Which object defines a variable: link-time optimization puts them all into files of its own. The objects must have
    ordinary code in them too (-ffat-lto-objects)."""

    def __init__(self, build):
        self.build, self.found = build, None

    def read(self):
        self.found = {}
        for line in map_lines(self.build + "/pipit.map"):
            if line.startswith("LOAD " + self.build):
                path = line.split()[1]
                sections = writable_sections(path)
                for symbol in filter(None, map(SYMBOL.match, readelf("-sW", path))):
                    if symbol[4] in sections:
                        self.found.setdefault(re.sub(r"\.\d+$", "", symbol[5]), []).append((path, int(symbol[2], 0)))

    def path_of(self, name, size):
        """The first that has the size too: two objects may have variables of one name."""
        if self.found is None:
            self.read()
        candidates = self.found.get(name, [])
        return next((path for path, own in candidates if own == size), candidates[0][0] if candidates else None)


def linked_variable(build, section, part, size, path, slots, definitions):
    """A part of a section as a variable: its name is in the section's, -fdata-sections has seen to that."""
    if path is None:
        return Variable("linker", "stack" if section == ".stack" else "alignment", size, size, 1)
    name = re.sub(r"^\.\w+\.?", "", part) or part
    plain = re.sub(r"(\.lto_priv|\.\d+)+$", "", name)
    if path.endswith(".ltrans.o"):
        path = definitions.path_of(plain, size) or path
    on_disk = path.startswith(build + "/")
    if on_disk and path not in slots:
        slots[path] = slots_of(path)
    count = slots[path].get(plain, 1) if on_disk else 1
    if plain.startswith("memp_memory_"):
        each, count = lwip_pool(path, plain, size) or misfit(plain)
    else:
        each = size // count
    return Variable(owner_of(path, build) if on_disk else path.rsplit("/", 1)[-1], plain, size, each, count)


def linked_variables(build):
    """The variables that the linker has put into RAM, and the sizes of RAM's sections by name."""
    regions, sections, parts = linked(build)
    ram = {name: place for name, place in sections.items() if in_region(regions["RAM"], place)}
    slots, definitions = {}, Definitions(build)
    variables = [linked_variable(build, *part, slots, definitions) for part in parts if part[0] in ram]
    fill = sum(v.size for v in variables if v.name == "alignment")
    variables = [v for v in variables if v.name != "alignment"] + [Variable("linker", "alignment", fill, fill, 1)]
    return variables, {name: size for name, (_, size) in ram.items()}, regions


def elf_sections(build):
    """{name: size} of the sections that the program itself has."""
    found = (SECTION.match(line) for line in readelf("-SW", build + "/pipit.elf"))
    return {match[2]: int(match[4], 16) for match in found if match and "A" in match[5]}


def check_board(build, flash_budget):
    variables, sections, regions = linked_variables(build)
    total, own = print_table(build, variables), elf_sections(build)
    print_sums(variables)
    used, size = sum(own.get(name, 0) for name in sections), regions["RAM"][1]
    flash = own[".text"] + own[".data"]
    print(f"RAM: {used} of {size} bytes, {size - used} free. Flash: {flash} of {flash_budget} bytes.")
    if total != used:
        print(f"the rows make {total} bytes, the linker's sections {used}")
    if flash > flash_budget:
        print(f"the program is {flash - flash_budget} bytes larger than FLASH_BUDGET allows")
    return int(total != used or flash > flash_budget or used > size)


def print_sums(variables):
    sizes = {shown_name(v.name): v for v in variables}
    for what, names in SUMS:
        names = [name for name in names if name in sizes]  # a profile may have no TLS
        if not names:
            continue
        slots = sizes[names[0]].slots
        total = sum(sizes[name].size for name in names) // slots
        print(f"{what:<70} {total:>9}  = " + " + ".join(f"{sizes[name].size // slots} {name}" for name in names))


def print_table(build, variables):
    """Prints the rows; returns what they add up to."""
    rows = list(shown_rows(variables))
    total = sum(row[4] for row in rows)
    print(f"\n{build}: RAM by owner, in bytes")
    print(f"{'owner':<32} {'what':<28} {'a slot':>9} {'slots':>7} {'total':>10}")
    for owner, what, each, slots, size in rows:
        print(f"{owner:<32} {what:<28} {each:>9} {slots:>7} {size:>10}")
    print(f"{'':<32} {'all':<28} {'':>9} {'':>7} {total:>10}")
    return total


def check_objects(build):
    with open(build + "/libpipit.objects", encoding="utf-8") as file:
        objects = file.read().split()
    variables, unowned, total = [], [], 0
    for path in objects:
        own, left = variables_of(path, owner_of(path, build))
        variables += own
        unowned += [(path, *what) for what in left]
        total += sum(size for _, size in writable_sections(path).values())
    shown = print_table(build, variables)
    print_sums(variables)
    for path, section, size in unowned:
        print(f"{path}: {size} bytes of {section} belong to no variable")
    if shown != total or unowned or not objects:
        print(f"the rows make {shown} bytes, the sections {total}")
        return 1
    return 0


def main():
    arguments = argparse.ArgumentParser(description="Who owns how many bytes of RAM.")
    arguments.add_argument("build")
    arguments.add_argument("--flash", type=int, metavar="BYTES")
    given = arguments.parse_args()
    build = given.build.rstrip("/")
    return check_objects(build) if given.flash is None else check_board(build, given.flash)


sys.exit(main())
