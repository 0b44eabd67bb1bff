#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""odd_words.py HOST USER KEY-FILE WORDS

A client that says WORDS, and bytes that are no UTF-8, wherever the protocol takes a text: its version, the user name,
method names, commands, subsystems, variables, terminal types, signals, hosts to forward to and to listen on; and the
reason of its good-bye. Prints what came of each, and in the end what a session said on a connection of its own."""
import logging
import socket
import sys

import paramiko
from paramiko import Message

logging.disable(logging.CRITICAL)
host, user, key_file, words = sys.argv[1:5]
ODD = words.encode() + b"\xff\xfe\xc3\x28\xed\xa0\x80" + words.encode() * 3
key = paramiko.Ed25519Key.from_private_key_file(key_file)
key.load_certificate(f"{key_file}-cert.pub")

def connect():
    transport = paramiko.Transport(socket.create_connection((host, 22022), 10))
    version = "".join(c for c in words if c not in "\r\n")[:100]
    transport.local_version = "SSH-2.0-odd" + version
    transport.start_client(timeout=10)
    return transport

def attempt(what, call):
    try:
        print(what, "->", ascii(call()))
    except Exception as error:  # whatever the server makes of it
        print(what, "->", type(error).__name__, ascii(str(error))[:100])

def message(number, *parts):
    out = Message()
    out.add_byte(bytes([number]))
    for part in parts:
        if isinstance(part, bytes):
            out.add_string(part)
        elif isinstance(part, bool):
            out.add_boolean(part)
        else:
            out.add_int(part)
    return out

for name in (ODD, ODD[:1000], b"\xff" * 32, words.encode(), b""):
    def login(name=name):
        transport = connect()
        transport.auth_publickey(name, key)
    attempt("user", login)

transport = connect()
attempt("login", lambda: transport.auth_publickey(user, key))

def request(name, *parts):
    channel = transport.open_session(timeout=10)
    transport._send_user_message(message(98, channel.remote_chanid, name, False, *parts))
    return channel

for text in (ODD, words.encode()):
    attempt("exec", lambda: request(b"exec", text).recv_exit_status())
    attempt("subsystem", lambda: request(b"subsystem", text))
    attempt("env", lambda: request(b"env", b"LC_ODD", text))
    attempt("env", lambda: request(b"env", text, text))
    attempt("pty", lambda: request(b"pty-req", text, 80, 24, 0, 0, text))
    attempt("signal", lambda: request(b"signal", text))
    attempt("request", lambda: request(text))

    def forward(text=text):
        transport._send_user_message(message(90, b"direct-tcpip", 4000, 1 << 20, 1 << 15, text, 22, text, 23))
    attempt("connect", forward)

    def listen(text=text):
        transport._send_user_message(message(80, b"tcpip-forward", False, text, 0))
    attempt("listen", listen)
    transport._send_user_message(message(90, text, 4001, 1 << 20, 1 << 15))
# the server may have ended that connection
transport = connect()
transport.auth_publickey(user, key)
channel = transport.open_session(timeout=10)
transport._send_user_message(message(98, channel.remote_chanid, b"exec", False, b"echo still here"))
print(channel.recv(100), flush=True)
transport._send_user_message(message(1, 11, ODD[:500], b"en"))
