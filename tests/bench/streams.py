# SPDX-License-Identifier: Apache-2.0
"""Figures of streams that share a connection with others: an echo beside a copy, and forwarded ports."""
import contextlib
import os
import pty
import select
import socket
import subprocess
import threading
import time
import tty

from measure import MIB, QUICK, add_input, interleaved, stop
from stage import servers, until

BLOCK = bytes(1 << 18)


# ---- an echo beside a copy
@contextlib.contextmanager
def shared_connection(stage, host):
    """An ssh that others share (ControlMaster); the words that make a client of it."""
    control = f"{stage.home}/mux"
    master, options = add_input(stage.ssh("near", "-N", "-o", "ControlMaster=yes", "-o", f"ControlPath={control}", host))
    process = subprocess.Popen(master, stderr=subprocess.DEVNULL, **options)
    try:
        until("a connection to share", lambda: os.path.exists(control))
        yield ["-S", control]
    finally:
        stop(process)


class Terminal:
    """`cat` on a raw terminal of the peer, through a raw terminal here, as a person's ssh has one."""

    def __init__(self, stage, host, shared):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        command, options = stage.ssh("near", *shared, "-tt", host, "stty raw -echo; echo ready; exec cat")
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, **options)
        os.close(slave)
        text = b""
        while b"ready" not in text:
            text += self.wait()
        while select.select([self.master], [], [], 0.2)[0]:
            os.read(self.master, 4096)

    def wait(self):
        if not select.select([self.master], [], [], 20)[0]:
            raise SystemExit("bench: no echo within 20 s")
        return os.read(self.master, 4096)

    def round_trip(self):
        start = time.perf_counter()
        os.write(self.master, b"x")
        self.wait()
        return time.perf_counter() - start

    def close(self):
        stop(self.process)
        os.close(self.master)


def echo_beside_copy(stage, host, size):
    """Seconds of each round trip of one byte, as long as the copy of `size` bytes runs on another channel."""
    with shared_connection(stage, host) as shared:
        terminal = Terminal(stage, host, shared)
        command, options = add_input(stage.ssh("near", *shared, host, f"head -c {size} /dev/zero"))
        copy = subprocess.Popen(command, stdout=subprocess.DEVNULL, **options)
        trips = []
        while copy.poll() is None:
            trips.append(terminal.round_trip())
            # a person types, and does not fill the line
            time.sleep(0.002)
        terminal.close()
        if copy.returncode != 0:
            raise SystemExit(f"bench: exit {copy.returncode} of {' '.join(command)}")
        return trips


def echo(stage, table):
    size = (64 if QUICK else 1024) * MIB
    hosts = ("server-alone", "server", "sshd")
    trips = {host: [] for host in hosts}
    for turn in range(2 if QUICK else 6):
        stage.renew()
        for host in hosts:
            found = echo_beside_copy(stage, host, size)
            if turn > 0:  # the first turn warms up
                trips[host] += found
    for name, share in (("p50", 0.50), ("p99", 0.99)):
        alone, ours, theirs = (sorted(trips[host])[int(share * len(trips[host]))] for host in hosts)
        figure = f"echo beside a copy of {size // MIB} MiB, {name}"
        table.add(f"{figure}, the servers alone", alone * 1000, theirs * 1000, "ms", alone / theirs, 1.0)
        table.add(f"{figure}, our relay included", ours * 1000, theirs * 1000, "ms", ours / theirs)


# ---- forwarded ports
@contextlib.contextmanager
def source_of(size):
    """A TCP server on loopback that gives `size` bytes to each who connects; its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client:
                for _ in range(0, size, len(BLOCK)):
                    client.sendall(BLOCK)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def read_all(port, size):
    """Seconds that the bytes take from there."""
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.settimeout(60)
        buffer, got = bytearray(1 << 18), 0
        while count := s.recv_into(buffer):
            got += count
    if got != size:
        raise ConnectionError(f"{got} of {size} bytes")
    return time.perf_counter() - start


@contextlib.contextmanager
def forwarding(stage, host, flag, port, target):
    """An ssh that forwards 127.0.0.1:port, and does nothing else."""
    command, options = add_input(stage.ssh("near", "-N", "-o", "ExitOnForwardFailure=yes", flag,
                                           f"127.0.0.1:{port}:127.0.0.1:{target}", host))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, **options)
    try:
        until(f"a port forwarded by {host}", lambda: process.poll() is not None or listens(port))
        yield
    finally:
        stop(process)
        process.stderr.close()


def listens(port):
    with open("/proc/net/tcp") as table:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in list(table)[1:])


def forwarded(stage, table, flag, name):
    size = (32 if QUICK else 1024) * MIB
    figure = f"{size // MIB} MiB through {flag} ({name})"
    with source_of(size) as source:
        def through(host):
            port = free_port()
            with forwarding(stage, host, flag, port, source):
                return read_all(port, size)

        try:
            alone, ours, theirs = interleaved(1 if QUICK else 15, *servers(stage, through))
        except OSError as error:
            table.add_failure(figure, f"not available: {error}", 1.0)
            return
    speed = lambda seconds: size / MIB / seconds
    table.add(f"{figure}, the servers alone", speed(alone), speed(theirs), "MiB/s", alone / theirs, 1.0)
    table.add(f"{figure}, our relay included", speed(ours), speed(theirs), "MiB/s", ours / theirs)


def local_forward(stage, table):
    forwarded(stage, table, "-L", "down")


def remote_forward(stage, table):
    forwarded(stage, table, "-R", "up")
