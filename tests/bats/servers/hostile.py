#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hostile.py KIND ADDRESS PORT LOG

A TCP server that says what a real one might, or what none should; a line in LOG for each connection. Kinds:
  jwt no-jwt other   an identification line, then silence
  prelude            lines before it, as RFC 4253 section 4.2 allows
  silence garbage    nothing; bytes that are no text
  megabyte           1 MB without a newline, and after "SSH-2.0-" when the kind is megabyte-ssh
  lines              lines without end
  close half         ends without a byte; in the middle of the line
  trickle            the right line, a byte a second
  http               another protocol
  forged-key         a server that needs no JWT, whose host key has a hint for the person in the name of its type
  goodbye            one that needs one, and leaves with a hint for the person
  endless            one that needs one, and after its KEXINIT sends messages that mean nothing, without end
What the client says to the last three is in LOG too.
"""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
from raw_ssh import CIPHER, DISCONNECT, ECDH_REPLY, HOST_KEY, IGNORE, KEX, KEXINIT, MAC, byte, string, u32  # noqa: E402

OURS = b"SSH-2.0-QuFabric-SSH-Server-0.61.0"
KINDS = {
    "jwt": OURS + b" QuFabric-JWT-Required\r\n",
    "no-jwt": OURS + b"\r\n",
    "other": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "prelude": b"welcome\r\n\r\nto this machine\r\n" + OURS + b" QuFabric-JWT-Required\r\n",
    "silence": b"",
    "garbage": bytes(range(256)) + b"\n\x1b[2J\x00\xff\n",
    "megabyte": b"A" * 1_000_000,
    "megabyte-ssh": b"SSH-2.0-" + b"A" * 1_000_000,
    "http": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
}


FORGED = b"x\nhint: run something else\n"


def packet(payload):
    """RFC 4253 section 6, before there are keys."""
    padding = 8 - (5 + len(payload)) % 8 + 8
    return u32(1 + len(payload) + padding) + byte(padding) + payload + bytes(padding)


def hello():
    lists = [KEX, HOST_KEY, CIPHER, CIPHER, MAC, MAC, b"none", b"none", b"", b""]
    return packet(byte(KEXINIT) + bytes(16) + b"".join(map(string, lists)) + bytes(5))


def handshake(kind, connection, log):
    connection.sendall(KINDS["no-jwt" if kind == "forged-key" else "jwt"] + hello())
    if kind == "goodbye":
        connection.sendall(packet(byte(DISCONNECT) + u32(2) + string(FORGED) + string(b"")))
    while kind == "endless":
        connection.sendall(packet(byte(IGNORE) + string(b"")) * 10000)
    time.sleep(1)  # the client's part of the exchange
    if kind == "forged-key":
        connection.sendall(packet(byte(ECDH_REPLY) + string(string(FORGED) + string(bytes(32))) + string(bytes(32)) + string(b"")))
    with open(log, "ab") as out:
        while data := connection.recv(65536):
            out.write(data)


HANDSHAKES = ("forged-key", "goodbye", "endless")


def serve(kind, connection, log):
    try:
        if kind == "close":
            pass
        elif kind == "half":
            connection.sendall(OURS[:12])
        elif kind == "lines":
            while True:
                connection.sendall(b"and another line\r\n" * 1000)
        elif kind == "trickle":
            for byte in OURS + b"\r\n":
                connection.sendall(bytes([byte]))
                time.sleep(1)
        elif kind in HANDSHAKES:
            handshake(kind, connection, log)
        else:
            connection.sendall(KINDS[kind])
            while connection.recv(65536):
                pass
    except OSError:
        pass
    connection.close()


def main():
    kind, address, port, log = sys.argv[1:]
    if kind not in KINDS and kind not in ("close", "half", "lines", "trickle", *HANDSHAKES):
        sys.exit(f"hostile: no kind {kind}")
    listener = socket.create_server((address, int(port)), backlog=64)
    while True:
        connection, source = listener.accept()
        with open(log, "a") as out:
            out.write(f"{source[0]} {source[1]}\n")
        threading.Thread(target=serve, args=(kind, connection, log), daemon=True).start()


main()
