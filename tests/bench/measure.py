# SPDX-License-Identifier: Apache-2.0
"""What the figures of the benchmark share: taking turns, the table, and looking at the processes of a server."""
import json
import os
import signal
import statistics
import subprocess
import sys
import threading

QUICK = os.environ.get("BENCH_QUICK") == "1"
MIB = 1 << 20


# A process of the measured user that starts and times commands. Started from here each would be forked off this large
# process, since only a fork can change the user: milliseconds that are not ssh's.
RUNNER = """
import json, subprocess, sys, time
for line in sys.stdin:
    task = json.loads(line)
    with open(task["stdin"], "rb") as stdin:
        start = time.perf_counter()
        done = subprocess.run(task["command"], stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=task["env"])
        seconds = time.perf_counter() - start
    print(json.dumps([seconds, done.returncode, done.stderr.decode(errors="replace")]), flush=True)
"""
runners = threading.local()  # one a thread


def timed(command, options):
    """Seconds that the command takes; options as of subprocess, stdin a file or DEVNULL."""
    if not hasattr(runners, "mine"):
        runners.mine = subprocess.Popen([sys.executable, "-c", RUNNER], stdout=subprocess.PIPE, text=True, bufsize=1,
                                        **{**options, "stdin": subprocess.PIPE})
    stdin = options["stdin"].name if hasattr(options["stdin"], "name") else "/dev/null"
    runners.mine.stdin.write(json.dumps({"command": command, "stdin": stdin, "env": options["env"]}) + "\n")
    seconds, status, said = json.loads(runners.mine.stdout.readline())
    if status != 0:
        raise SystemExit(f"bench: exit {status} of {' '.join(command)}\n{said}")
    return seconds


def interleaved(runs, *measures):
    """Medians of measures that take turns; the first turn warms up and does not count."""
    taken = [[] for _ in measures]
    for turn in range(runs + 1):
        for results, measure in zip(taken, measures):
            value = measure()
            if turn > 0:
                results.append(value)
    return [statistics.median(results) for results in taken]


class Table:
    def __init__(self):
        self.rows = []

    def add(self, figure, ours, theirs, unit, ratio, reach=None):
        """Without a reach it is only told."""
        judged = ("", "") if reach is None else (f"<= {reach:.2f}", "yes" if ratio <= reach else "NO")
        self.rows.append((figure, f"{ours:.4g} {unit}", f"{theirs:.4g} {unit}", f"{ratio:.2f}", *judged))
        print(f"  {figure}: {ratio:.2f}" + ("" if reach is None else f" (reach {reach:.2f})"), flush=True)

    def add_limit(self, figure, value, base, unit, limit, note=""):
        """Without a base there is nothing to compare with, only the note."""
        ok = value <= limit
        ratio = f"{value / base:.2f}" if base else "-"
        self.rows.append((figure, f"{value:.3g} {unit}", note if base is None else f"{base:.3g} {unit}{note}", ratio,
                          f"<= {limit:g} {unit}", "yes" if ok else "NO"))
        print(f"  {figure}: {value:.3g} {unit} (reach {limit:g} {unit})", flush=True)

    def add_failure(self, figure, reason, reach):
        """A figure that this build cannot have; the others still count."""
        self.rows.append((figure, reason, "", "", f"<= {reach:.2f}", "NO"))
        print(f"  {figure}: {reason}", flush=True)

    def show(self):
        head = ("figure", "QuFabric SSH", "OpenSSH", "ratio", "reach", "reached")
        widths = [max(len(row[i]) for row in [head, *self.rows]) for i in range(len(head))]
        line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        print("\n" + line(head))
        print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
        for row in self.rows:
            print(line(row))


def add_input(ssh, stdin=subprocess.DEVNULL):
    command, options = ssh
    return command, {**options, "stdin": stdin}


# ---- processes
def stop(process):
    """Ends an ssh. It can miss a signal that comes just before it waits for the next event, so it is told again."""
    while True:
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            pass


def parents():
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    table[int(name)] = int(stat.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    return table


def descendants(root):
    table, found = parents(), set()
    for pid in table:
        up = pid
        while up in table and up != root:
            up = table[up]
        if up == root and pid != root:
            found.add(pid)
    return found


def pss(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def cpu_seconds(pids):
    """Of all of them so far, in user and kernel."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
