#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""in_terminal.py TRANSCRIPT STEP... -- COMMAND...

Runs a command with a controlling terminal of its own, as a person's shell does, writes what the terminal shows to
TRANSCRIPT as it comes, and exits with the command's status (128 + signal when one ended it). Steps, in this order:
  stdin=FILE stdout=FILE stderr=FILE   that descriptor is a file in place of the terminal (it keeps its terminal)
  size=ROWSxCOLUMNS                    the window at the start (24x80)
  expect=REGEX                         waits until the terminal has shown it, after what was expected before
  wait=FILE                            waits until the file is there
  send=TEXT                            types; \\r, \\n, \\x04 and so on as in Python
  resize=ROWSxCOLUMNS                  another window size, with SIGWINCH
  exit                                 waits for the end of the command (so do all, at the end)
  deadline=SECONDS                     for all of it (60)
A step that does not come true in time ends everything with status 124.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time


def set_size(fd, text):
    rows, columns = (int(n) for n in text.split("x"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    split = sys.argv.index("--")
    transcript_path, steps, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1:]
    settings = {"size": "24x80", "deadline": "60"}
    script = []
    for step in steps:
        name, _, value = step.partition("=")
        if name in ("stdin", "stdout", "stderr", "size", "deadline"):
            settings[name] = value
        else:
            script.append((name, value))

    master, slave = pty.openpty()
    set_size(slave, settings["size"])
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd, name in enumerate(("stdin", "stdout", "stderr")):
            if name in settings:
                flags = os.O_RDONLY if fd == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                os.dup2(os.open(settings[name], flags, 0o644), fd)
            else:
                os.dup2(slave, fd)
        os.closerange(3, 64)
        os.execvp(command[0], command)
    os.close(slave)

    shown, looked_at, status = b"", 0, None
    deadline = time.monotonic() + float(settings["deadline"])
    transcript = open(transcript_path, "ab", buffering=0)

    def pump(seconds):
        nonlocal shown
        if not select.select([master], [], [], seconds)[0]:
            return
        try:
            data = os.read(master, 65536)
        except OSError:  # the last one with the terminal has gone
            time.sleep(min(seconds, 0.01))
            return
        transcript.write(data)
        shown += data

    def ended():
        nonlocal status
        if status is None:
            done, result = os.waitpid(pid, os.WNOHANG)
            if done:
                status = result
        return status is not None

    def late(what):
        if time.monotonic() < deadline:
            return False
        os.kill(pid, signal.SIGKILL)
        sys.stderr.write(f"in_terminal: not in time: {what}\n{shown.decode(errors='replace')}\n")
        sys.exit(124)

    for name, value in script:
        if name == "expect":
            while True:
                found = re.search(value.encode(), shown[looked_at:])
                if found:
                    looked_at += found.end()
                    break
                if ended():
                    pump(0)
                    if re.search(value.encode(), shown[looked_at:]):
                        continue
                    sys.stderr.write(f"in_terminal: ended before: {value}\n{shown.decode(errors='replace')}\n")
                    sys.exit(124)
                late(value)
                pump(0.05)
        elif name == "wait":
            while not os.path.exists(value):
                late(value)
                pump(0.05)
        elif name == "send":
            os.write(master, value.encode().decode("unicode_escape").encode("latin-1"))
        elif name == "resize":
            set_size(master, value)
        elif name == "exit":
            while not ended():
                late("the end")
                pump(0.05)
        else:
            sys.exit(f"in_terminal: no step {name}")
    while not ended():
        late("the end")
        pump(0.05)
    for _ in range(50):  # what is still in the terminal
        before = len(shown)
        pump(0.02)
        if len(shown) == before:
            break
    sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


main()
