# SPDX-License-Identifier: Apache-2.0
"""Figures of a large fabric, as make-fabric writes it, beside those of one with ten peers: what an apply takes, and that
what is looked up costs the same. A decision and a token are measured in the process (decisions.cc)."""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

from measure import QUICK, interleaved, stop
from stage import until

SMALL = (10, 10, 2, 10)
LARGE = (2000, 200, 20, 20) if QUICK else (1_000_000, 100_000, 10_000, 10_000)  # peers, users, groups, policies
ASKED = (2000, 200, 20, 20) if QUICK else (100_000, 10_000, 1_000, 1_000)  # all of it is read for these questions
CHANGED = 12                # the policy that qf-up diff finds disabled
PEER = "peer5"
TURNS = 20 if QUICK else 201


def fabric(stage, counts):
    """Makes it and applies it, once; the name of its instance, and seconds and bytes that the apply took."""
    made = getattr(stage, "fabrics", None)
    if made is None:
        made = stage.fabrics = {}
    if counts not in made:
        name = f"fabric{counts[0]}"
        stage.make_folders(name, stage.uid)
        with open(f"{stage.folder}/{name}/config/fabric.json", "w") as out:
            subprocess.run([f"{stage.here}/make-fabric", *map(str, counts)], stdout=out, check=True)
        made[counts] = (name, *apply(stage, name))
    return made[counts]


def apply(stage, name):
    """Seconds and bytes of memory at most."""
    start = time.perf_counter()
    applying = subprocess.Popen([f"{stage.bin}/qf-up", "apply", *stage.folders(name)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **stage.as_user())
    said = applying.stderr.read()
    status, usage = os.wait4(applying.pid, 0)[1:]
    seconds = time.perf_counter() - start
    applying.returncode = os.waitstatus_to_exitcode(status)
    if applying.returncode != 0:
        raise SystemExit(f"bench: qf-up apply: {said}")
    return seconds, usage.ru_maxrss * 1024


def applied(stage, table):
    _, seconds, memory = fabric(stage, LARGE)
    peers, users, groups, policies = LARGE
    figure = f"qf-up apply, {peers:,} peers, {users:,} users, {groups:,} groups, {policies:,} policies"
    table.add_limit(figure, seconds, None, "s", 60)
    table.add_limit("its memory", memory / 1e9, None, "GB", 2)


# ---- questions about all of a document
def changed(stage, name):
    """The document of an instance with one policy disabled."""
    folder = f"{stage.folder}/{name}"
    with open(f"{folder}/config/fabric.json") as document, open(f"{folder}/changed.json", "w") as out:
        for line in document:
            if line.startswith(f'{{"name": "policy{CHANGED}", "enabled": true'):
                line = line.replace("true", "false", 1)
            out.write(line.replace('"serial": 1,', '"serial": 2,'))
    return out.name


def who_may(stage, table):
    """A change of one policy, and who may log in at a peer, to the time that a check of the same document takes."""
    name = fabric(stage, ASKED)[0]
    new = changed(stage, name)
    up = [f"{stage.bin}/qf-up"]
    who = [*up, "explain", *stage.folders(name), "--who", f"deploy@{PEER}"]
    # as root, who may read what is in force; nobody may log in at many a peer
    expected = subprocess.run(who, stdout=subprocess.DEVNULL).returncode
    if expected not in (0, 1):
        raise SystemExit("bench: qf-up explain --who has failed")
    commands = (([*up, "check", new], 0), ([*up, "diff", *stage.folders(name), "--exit-code", new], 1), (who, expected))
    quiet = lambda command, code: lambda: timed(command, code)
    check, diff, asked = interleaved(2 if QUICK else 5, *[quiet(*command) for command in commands])
    what = f"{ASKED[0]:,} peers"
    table.add(f"qf-up diff of one policy among {ASKED[3]:,}, {what}, to qf-up check", diff, check, "s", diff / check, 3.0)
    table.add(f"qf-up explain --who, {what}, to the same", asked, check, "s", asked / check, 1.0)


def timed(command, code):
    start = time.perf_counter()
    got = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode
    seconds = time.perf_counter() - start
    if got != code:
        raise SystemExit(f"bench: exit {got} of {' '.join(command)}, not {code}")
    return seconds


# ---- qf-detect --match
def run(command, env, code):
    """As directly as Python can: no pipes, vfork."""
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, env)
    status = os.waitpid(pid, 0)[1]
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != code:
        raise SystemExit(f"bench: exit {os.waitstatus_to_exitcode(status)} of {' '.join(command)}, not {code}")
    return seconds


class Detected:
    """A token daemon that knows of a peer that it wants no token, so that nobody is asked over the network."""

    def __init__(self, stage, name):
        self.stage = stage
        self.process = stage.start([f"{stage.bin}/qf-tokend", "--foreground", *stage.folders(name)], "detected.log",
                                   **stage.as_user())
        self.socket = f"{stage.folder}/{name}/run/tokend.sock"

    def __enter__(self):
        until("qf-tokend listens", lambda: os.path.exists(self.socket))
        request = {"version": 1, "op": "detected", "peer": PEER, "host": PEER, "detection": "no-jwt"}
        said = subprocess.run(["socat", "-t", "10", "-", f"UNIX-CONNECT:{self.socket}"], input=json.dumps(request) + "\n",
                              capture_output=True, text=True, check=True, **self.stage.as_user()).stdout
        if not json.loads(said)["ok"]:
            raise SystemExit(f"bench: qf-tokend does not remember a peer: {said}")
        return self

    def __exit__(self, *_):
        stop(self.process)


def match(stage, table):
    """One run of qf-detect --match among few and among many peers. What an empty program takes is told beside it."""
    def command(counts, host):
        name = fabric(stage, counts)[0]
        return [f"{stage.bin}/qf-detect", *stage.folders(name), "--match", host, "22"]

    for host, code, what in (("github.com", 1, "no peer"), (PEER, 0, "a peer")):
        commands = [command(counts, host) for counts in (SMALL, LARGE)]
        names = [fabric(stage, counts)[0] for counts in (SMALL, LARGE)]
        # as the user: the socket is for nobody else
        runner = [sys.executable, os.path.abspath(__file__), json.dumps([stage.env, code, TURNS, *commands])]
        with Detected(stage, names[0]), Detected(stage, names[1]):
            said = subprocess.run(runner, check=True, stdout=subprocess.PIPE, text=True, **stage.as_user()).stdout
        floor, few, many = json.loads(said)
        table.add_limit(f"qf-detect --match, {what}, {LARGE[0]:,} peers", many * 1000, few * 1000, "ms", 2,
                        f" (10 peers; {floor * 1000:.2g} true)")


# ---- in the process
def in_process(stage, pattern, seconds, repetitions, **databases):
    """Microseconds of each benchmark of decisions.cc whose name matches; the medians of the repetitions."""
    program = os.path.join(os.path.dirname(stage.bin), "bench", "decisions")
    if not os.path.exists(program):
        raise SystemExit(f"bench: there is no {program}\nhint: run: make bench")
    said = subprocess.run([program, f"--benchmark_filter={pattern}", "--benchmark_format=json",
                           f"--benchmark_min_time={seconds}", f"--benchmark_repetitions={repetitions}",
                           "--benchmark_enable_random_interleaving=true"],
                          env={**os.environ, **databases}, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {each["run_name"]: each["cpu_time"] for each in json.loads(said)["benchmarks"]
            if repetitions == 1 or each.get("aggregate_name") == "median"}


def decision(stage, table):
    databases = {variable: f"{stage.folder}/{fabric(stage, counts)[0]}/state/policy.mdb"
                 for variable, counts in (("QF_SMALL", SMALL), ("QF_LARGE", LARGE))}
    taken = in_process(stage, "^decision", *((0.05, 1) if QUICK else (1, 7)), **databases)
    small, large = taken["decision/small"], taken["decision/large"]
    figure = f"authorisation decision, {LARGE[0]:,} peers"
    table.add_limit(figure, large, small, "us", 50, " (10 peers)")
    table.add(f"{figure}, to that among 10", large, small, "us", large / small, 2.0)
    # told only: the pages that are touched in a new map, more of them in a deeper tree; once a connection
    small, large = taken["decision_and_open/small"], taken["decision_and_open/large"]
    table.add("the same and policy.mdb opened for it, to that among 10", large, small, "us", large / small)


def openssl_check():
    """Microseconds of a signature check, as openssl speed says."""
    said = subprocess.run(["openssl", "speed", "-seconds", "1", "ecdsap256"], check=True, capture_output=True,
                          text=True).stdout
    # "256 bits ecdsa (nistp256)   0.0000s   0.0001s  45678.9  15432.1": the last is verifications a second
    return 1e6 / float(re.findall(r"nistp256\).*\s([0-9.]+)\s*$", said, re.MULTILINE)[-1])


def jwt(stage, table):
    """A processor that others share changes its pace within seconds: each turn has a ratio, ours taken before and after."""
    verify = lambda: in_process(stage, "jwt_es256", 0.5, 1)["jwt_es256"]
    turns, before = [], verify()
    for _ in range(2 if QUICK else 15):
        alone, after = openssl_check(), verify()
        turns.append(((before + after) / 2, alone, (before + after) / 2 / alone))
        before = after
    ours, alone, ratio = map(statistics.median, zip(*turns))
    table.add("JWT verification ES256, to the signature check of openssl speed", ours, alone, "us", ratio, 1.2)


def main():
    env, code, turns, *commands = json.loads(sys.argv[1])
    true = shutil.which("true")
    print(json.dumps(interleaved(turns, lambda: run([true], env, 0), *[lambda c=c: run(c, env, code) for c in commands])))


if __name__ == "__main__":
    main()
