#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""echo.py PORT-FILE ADDRESS...: a TCP server that answers with the uid of the other end and what it was sent, after
the end of its input. "stream N" in the first line: N bytes, at once. Listens on one port of all addresses and writes
it to PORT-FILE."""
import os
import socket
import struct
import sys
import threading


def entry(address):
    """As the kernel's tables write it: words of 32 bits in this machine's order, and the port."""
    host, port = address[:2]
    raw = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    words = struct.unpack(f"={len(raw) // 4}I", raw)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def uid_of(connection):
    """Of the process at the other end: the kernel's table of local connections."""
    other, own = entry(connection.getpeername()), entry(connection.getsockname())
    with open("/proc/net/tcp6" if len(other) > 13 else "/proc/net/tcp") as lines:
        for line in lines:
            fields = line.split()
            if fields[1:3] == [other, own]:
                return fields[7]
    return "?"


def serve(connection):
    with connection:
        uid = uid_of(connection)
        got = b""
        while True:
            block = connection.recv(65536)
            if not block:
                break
            got += block
            if got.startswith(b"stream ") and b"\n" in got:
                connection.sendall(b"x" * int(got.split()[1]))
                return
        connection.sendall(f"uid {uid}: ".encode() + got)


def accept(listening):
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=lambda: quiet(connection), daemon=True).start()


def quiet(connection):
    try:
        serve(connection)
    except OSError:
        pass


sockets, port = [], 0
for address in sys.argv[2:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family)
    if family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listening.bind((address, port))
    port = listening.getsockname()[1]
    listening.listen(64)
    sockets.append(listening)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{port}\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
for listening in sockets[1:]:
    threading.Thread(target=accept, args=(listening,), daemon=True).start()
accept(sockets[0])
