#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_client.py ATTACK HOST USER KEY-FILE

A paramiko client that breaks one rule. KEY-FILE and the certificate beside it are as "mint.py credential" makes them.
What an attack prints is for its test.
  spin     a channel whose packets may hold ten bytes, on the outer connection of a tunnel: an identity, no OS user
  window   200 MB into a channel that nobody reads, far beyond its window; prints "sent", and stays until stdin ends
  signal   a signal request on the channel of a tunnel
  races    forty tunnels that are closed at once
  none     asks with method "none" until it is sent away; prints how often it was answered
  keys     offers other keys without end, never signing; prints how often it was answered
  late     offers a certificate, and signs with it once it has run out; prints whether that was a login
  stopper  floods a session with signals while the session stops every process of its user that it can; prints
           "refused" when the server still answers another request, and stays until stdin ends
  helper   stops the process that makes its forwards, then asks for hundreds; prints as stopper does
"""
import os
import socket
import sys
import threading
import time

import paramiko
from paramiko import Message

DISCONNECT, SERVICE_REQUEST, USERAUTH_REQUEST, USERAUTH_SUCCESS = 1, 5, 50, 52
CHANNEL_OPEN, CHANNEL_DATA, CHANNEL_REQUEST = 90, 94, 98
CERTIFICATE = "ssh-ed25519-cert-v01@openssh.com"
TUNNEL = "qufabric-tunnel"

attack, host, user, key_file = sys.argv[1:5]
key = paramiko.Ed25519Key.from_private_key_file(key_file)
key.load_certificate(f"{key_file}-cert.pub")


def message(number, *parts):
    """A message of these parts, each ("string", value) and so on."""
    out = Message()
    out.add_byte(bytes([number]))
    for kind, value in parts:
        getattr(out, f"add_{kind}")(value)
    return out


def connect():
    transport = paramiko.Transport(socket.create_connection((host, 22022), 10))
    transport.start_client(timeout=10)
    return transport


def login(name):
    transport = connect()
    transport.auth_publickey(name, key)
    return transport


def request(transport, channel, name, *parts):
    transport._send_user_message(
        message(CHANNEL_REQUEST, ("int", channel.remote_chanid), ("string", name), ("boolean", False), *parts))


def open_channel(transport, most_bytes):
    """A session channel that takes packets of so many bytes; paramiko itself asks for no less than 4 KiB."""
    with transport.lock:
        number = transport._next_channel()
        channel = paramiko.Channel(number)
        transport._channels.put(number, channel)
        transport.channels_seen[number] = True
        opened = transport.channel_events[number] = threading.Event()
        channel._set_transport(transport)
        channel._set_window(1 << 28, 1 << 15)
    transport._send_user_message(
        message(CHANNEL_OPEN, ("string", "session"), ("int", number), ("int", 1 << 28), ("int", most_bytes)))
    opened.wait(5)
    return channel


class RawLogin:
    """The authentication of a connection by hand: paramiko's own stops after one request."""

    def __init__(self):
        self.transport = connect()
        self.answers, self.ended = 0, threading.Event()
        self.succeeded = threading.Event()
        self.transport.auth_handler = self
        self.transport._send_message(message(SERVICE_REQUEST, ("string", "ssh-userauth")))

    # what paramiko's transport wants of an authentication handler
    def is_authenticated(self):
        return False

    def abort(self):
        self.ended.set()

    @property
    def _client_handler_table(self):
        def count(*_):
            self.answers += 1

        def succeed(*_):
            self.succeeded.set()

        return {6: lambda *_: None, 51: count, USERAUTH_SUCCESS: succeed, 53: lambda *_: None, 60: count}

    _handler_table = _client_handler_table

    def ask(self, *parts):
        self.transport._send_message(
            message(USERAUTH_REQUEST, ("string", user), ("string", "ssh-connection"), *parts))

    def ask_until_the_end(self, make_parts, most=1000):
        """One request after another, each after the answer to the one before; the number of answers."""
        for number in range(most):
            self.ask(*make_parts())
            until = time.monotonic() + 10
            while self.answers == number and not self.ended.is_set() and time.monotonic() < until:
                time.sleep(0.001)
            if self.answers == number:
                break
        return self.answers


def public_key(blob, algorithm, signature=None):
    parts = [("string", "publickey"), ("boolean", signature is not None), ("string", algorithm), ("string", blob)]
    return parts + ([("string", signature)] if signature is not None else [])


def new_key():
    """A plain key that no server knows."""
    return public_key(message_string("ssh-ed25519") + message_string(os.urandom(32)), "ssh-ed25519")


def message_string(text):
    out = Message()
    out.add_string(text)
    return out.asbytes()


def spin():
    transport = login(TUNNEL)
    request(transport, open_channel(transport, 10), "exec", ("string", "x"))
    time.sleep(1)


def window():
    transport = login(TUNNEL)
    channel = transport.open_session(timeout=5)
    for _ in range(6400):
        try:
            transport._send_user_message(
                message(CHANNEL_DATA, ("int", channel.remote_chanid), ("string", b"x" * 32000)))
        except (OSError, EOFError):
            break
        if not transport.is_active():
            break
    print("sent", flush=True)
    sys.stdin.read()


def signal():
    transport = login(TUNNEL)
    channel = transport.open_session(timeout=5)
    channel.invoke_subsystem(TUNNEL)
    request(transport, channel, "signal", ("string", "TERM"))
    time.sleep(1)


def races():
    for number in range(40):
        transport = login(TUNNEL)
        channel = transport.open_session(timeout=5)
        channel.invoke_subsystem(TUNNEL)
        (channel if number % 2 else transport).close()
        transport.close()


def none():
    print(RawLogin().ask_until_the_end(lambda: [("string", "none")]))


def keys():
    print(RawLogin().ask_until_the_end(new_key))


def late():
    by_hand = RawLogin()
    blob = key.public_blob.key_blob
    by_hand.ask(*public_key(blob, CERTIFICATE))
    until = time.monotonic() + 5
    while not by_hand.answers and time.monotonic() < until:
        time.sleep(0.01)
    print("probe", "answered" if by_hand.answers else "refused", flush=True)
    time.sleep(float(os.environ.get("LATE", "4")))
    signed = message(USERAUTH_REQUEST, ("string", user), ("string", "ssh-connection"),
                     *public_key(blob, CERTIFICATE)).asbytes()
    # the same with the flag that a signature follows (RFC 4252 section 7)
    flag = signed.index(b"publickey") + len(b"publickey")
    signed = message_string(by_hand.transport.session_id) + signed[:flag] + b"\x01" + signed[flag + 1:]
    by_hand.ask(*public_key(blob, CERTIFICATE, key.sign_ssh_data(signed).asbytes()))
    print("login" if by_hand.succeeded.wait(3) else "no login")


def stopper():
    transport = login(user)
    victim = transport.open_session(timeout=5)
    victim.exec_command("trap '' USR1; while :; do sleep 1; done")
    stopping = transport.open_session(timeout=5)
    stopping.exec_command("/usr/bin/python3 -c 'import os,time\nend=time.time()+4\nwhile time.time()<end: os.kill(-1,19)'")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        for _ in range(50):
            request(transport, victim, "signal", ("string", "USR1"))
        time.sleep(0.01)
    print(ask_monitor(transport), flush=True)
    sys.stdin.read()


def ask_monitor(transport):
    """Whether the monitor still judges: a subsystem that there is not is its to refuse."""
    asking = transport.open_session(timeout=10)
    asking.settimeout(10)
    request(transport, asking, "subsystem", ("string", "nothing-of-that-name"))
    return "refused" if b"not available" in asking.recv_stderr(1000) else "no answer"


def helper():
    transport = login(user)

    def forward(number, target):
        transport._send_user_message(
            message(CHANNEL_OPEN, ("string", "direct-tcpip"), ("int", 1000 + number), ("int", 1 << 20), ("int", 1 << 15),
                    ("string", target), ("int", 9), ("string", "127.0.0.1"), ("int", 9)))

    # answered or not: it is there afterwards
    forward(0, "127.0.0.1")
    stopping = transport.open_session(timeout=10)
    stopping.exec_command("for i in 1 2 3 4 5 6 7 8 9; do pkill -STOP -x qf-helper && break; sleep 0.1; done; echo done")
    stopping.recv(100)
    # ours do not start one connection after another, so the answers may come as they like
    for number in range(1, 500):
        forward(number, "x" * 250)
    print(ask_monitor(transport), flush=True)


{"spin": spin, "window": window, "signal": signal, "races": races, "none": none, "keys": keys, "late": late,
 "stopper": stopper, "helper": helper}[attack]()
sys.stdout.flush()
os._exit(0)
