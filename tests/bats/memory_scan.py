#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""memory_scan.py PID FILE...: looks for the bytes of each file in the memory of a process, as root. Prints for each file
how often they lie in memory that is locked and left out of core dumps, and how often elsewhere: "FILE 1 0"."""
import re
import sys


def regions(pid):
    """(start, end, safe) of the readable memory, by proc(5)"""
    found = []
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$", line):
                start, end, rights, name = head.groups()
                found.append([int(start, 16), int(end, 16), False])
                # a shared mapping is a file's, and may go beyond its end
                skipped = rights[0] != "r" or rights[3] == "s" or name.startswith("[v")
                if skipped:
                    found.pop()
            elif line.startswith("VmFlags:") and not skipped:
                flags = line.split()[1:]
                found[-1][2] = "lo" in flags and "dd" in flags
    return found


def main():
    pid, files = sys.argv[1], sys.argv[2:]
    needles = {}
    for name in files:
        with open(name, "rb") as file:
            needles[name] = file.read()
        if len(needles[name]) < 16:
            sys.exit(f"{name} is too short to look for")
    counts = {name: [0, 0] for name in files}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, safe in regions(pid):
            memory.seek(start)
            content = memory.read(end - start)
            if len(content) != end - start:
                sys.exit(f"only {len(content)} bytes of {end - start} at {start:x}")
            for name, needle in needles.items():
                counts[name][0 if safe else 1] += content.count(needle)
    for name, (locked, elsewhere) in counts.items():
        print(name.rsplit("/", 1)[-1], locked, elsewhere)


main()
