#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill_points.py BIN FOLDER SITUATION: qf-up apply, killed before each system call that changes files.

The calls are counted in a run that is left alone; then strace(1) kills one run before its first such call, the next one
before its second, and so on: no clock is involved. After each kill, all that the apply writes must be as it was before, or
as it is after a whole apply; the next apply must succeed and leave nothing behind. Prints the number of kills.

SITUATION is what the apply finds: next (the usual: another document is in force), first (nothing), plain (files of a version
that had no sets), edited, down, moved (the ssh_config file is to lie somewhere else). In all but next only the calls count
that change names: how a file is filled is the same each time."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys

BIN, FOLDER, SITUATION = sys.argv[1:]
STATE = f"{FOLDER}/state"
DEFAULT = f"{STATE}/99-qufabric.conf"
ELSEWHERE = f"{FOLDER}/etc/fabric.conf"
FILES = [f"{STATE}/{name}" for name in ("policy.mdb", "peers.mdb", "known_hosts", "choices.json", "ssh_config")] + [DEFAULT, ELSEWHERE]
# what changes files; a call that the machine does not have is no error
CHANGES = ("mkdir,mkdirat,rmdir,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,chmod,fchmod,"
           "fchmodat,ftruncate,fallocate,write,pwrite64,writev,pwritev,fsync,fdatasync,msync,sendfile,copy_file_range,"
           "open,openat,creat")
EXAMPLE = f"{os.path.dirname(os.path.abspath(__file__))}/../../conf/fabric.example.json"
NAMES = ("mkdir", "rmdir", "rename", "link", "symlink", "unlink")
OLD, NEW = f"{FOLDER}/old.json", f"{FOLDER}/new.json"


def document(path, serial):
    """One that differs from that of another serial in each of the files."""
    with open(EXAMPLE, encoding="utf-8") as file:
        fabric = json.load(file)
    fabric.update(serial=serial, domain=f"d{serial}.example")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(fabric, file)


def apply(path, *words, before=()):
    return subprocess.run([*before, f"{BIN}/qf-up", "apply", "--state-dir", STATE, *words, path],
                          capture_output=True, text=True)


def good(run):
    assert run.returncode == 0, run.stderr
    return run


def plain_files():
    """As a version without sets left them, killed in between once."""
    for path in FILES:
        if os.path.exists(path):
            shutil.copy(path, path + ".plain")
            os.replace(path + ".plain", path)
    os.unlink(f"{STATE}/current")
    for name in os.listdir(STATE):
        if name.startswith("applied."):
            shutil.rmtree(f"{STATE}/{name}")
    with open(f"{STATE}/policy.mdb.qf-up-new.77", "w", encoding="utf-8"):
        pass


def edited():
    """The remembered options, by an editor that renames; the ssh_config file was removed by hand."""
    shutil.copy(f"{STATE}/choices.json", f"{STATE}/edit")
    with open(f"{STATE}/edit", "a", encoding="utf-8") as file:
        file.write(" \n")
    os.replace(f"{STATE}/edit", f"{STATE}/choices.json")
    os.unlink(DEFAULT)


def prepare():
    """What is there before the apply; returns its options."""
    os.mkdir(f"{FOLDER}/etc")
    if SITUATION == "first":
        return []
    good(apply(OLD))
    good(apply(OLD))  # so that there is a set before the one in force
    if SITUATION == "plain":
        plain_files()
    elif SITUATION == "edited":
        edited()
    elif SITUATION == "down":
        good(subprocess.run([f"{BIN}/qf-up", "down", "--state-dir", STATE], capture_output=True, text=True))
    elif SITUATION == "moved":
        return ["--ssh-config-file", ELSEWHERE]
    else:
        assert SITUATION == "next"
    return []


def restore():
    for name in ("state", "etc"):
        shutil.rmtree(f"{FOLDER}/{name}", ignore_errors=True)
        if os.path.exists(f"{FOLDER}/saved/{name}"):
            shutil.copytree(f"{FOLDER}/saved/{name}", f"{FOLDER}/{name}", symlinks=True)


def content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def shown():
    return {path: content(path) for path in FILES}


def leftovers():
    """What lies there and is neither a set nor a link to the one in force."""
    current = os.readlink(f"{STATE}/current")
    names = os.listdir(STATE)
    sets = sorted((int(name[8:]) for name in names if name.startswith("applied.")))
    assert current == f"applied.{sets[-1]}" or current in names, (current, names)
    assert len(sets) <= 2, names
    links = {os.path.basename(path) for path in FILES if os.path.islink(path) and os.path.exists(path)}
    rest = set(names) - links - {f"applied.{number}" for number in sets} - {"current", "apply.lock"}
    rest |= {name for name in os.listdir(f"{FOLDER}/etc") if name not in links}
    rest |= {name for name in os.listdir(f"{STATE}/current") if ".qf-up-new" in name or len(name.split(".")) > 3}
    return rest


def points():
    """(call, k): the k-th call of that name changes files, or is a part of it."""
    log = f"{FOLDER}/log"
    good(apply(NEW, *OPTIONS, before=["strace", "-qq", "-o", log, "-e", f"trace=?{CHANGES.replace(',', ',?')}"]))
    counted = {}
    found = []
    with open(log, encoding="utf-8") as file:
        for line in file:
            call = re.match(r"(\w+)\(", line)
            if not call:
                continue
            name = call[1]
            counted[name] = counted.get(name, 0) + 1
            if name in ("open", "openat") and "O_CREAT" not in line and "O_TRUNC" not in line:
                continue
            if line.startswith("write(2,") or SITUATION != "next" and not name.startswith(NAMES):
                continue
            found.append((name, counted[name]))
    return found


def killed(call, number):
    """All that this kill has left, looked at."""
    restore()
    run = apply(NEW, *OPTIONS, before=["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                                       f"inject={call}:signal=KILL:when={number}"])
    assert run.returncode == -signal.SIGKILL, (run.returncode, run.stderr)
    now = shown()
    assert now in (BEFORE, AFTER), {path: "old" if text == BEFORE[path] else "new" if text == AFTER[path] else "neither"
                                    for path, text in now.items()}
    if SITUATION == "next":
        usable(2 if now == AFTER else 1)
    good(apply(NEW, *OPTIONS))
    assert shown() == AFTER
    assert not leftovers(), leftovers()
    return now == AFTER


def usable(serial):
    """ssh would get the host key."""
    key = subprocess.run([f"{BIN}/qf-detect", "--state-dir", STATE, "--host-keys", f"db1.d{serial}.example"],
                         capture_output=True, text=True)
    assert "ssh-ed25519" in key.stdout, key


os.environ.pop("QF_STATE_DIR", None)
document(OLD, 1)
document(NEW, 2)
# another domain each time, so that every file differs
OPTIONS = ["--force", "--ssh-jwt-cache-ttl", "77", *prepare()]
os.mkdir(f"{FOLDER}/saved")
for each in ("state", "etc"):
    if os.path.exists(f"{FOLDER}/{each}"):
        shutil.copytree(f"{FOLDER}/{each}", f"{FOLDER}/saved/{each}", symlinks=True)
BEFORE = shown()
POINTS = points()
AFTER = shown()
for each in FILES:
    assert (BEFORE[each] != AFTER[each]) == (each != ELSEWHERE or SITUATION == "moved"), each
results = []
for at in POINTS:
    try:
        results.append(killed(*at))
    except AssertionError:
        print(f"{SITUATION}: killed before {at[0]} number {at[1]}", file=sys.stderr)
        raise
# the first ones left the old state, the last ones the new
assert not results[0] and results == sorted(results), results
print(len(results))
