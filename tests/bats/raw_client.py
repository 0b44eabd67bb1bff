#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""raw_client.py HOST USER KEY-FILE CASE: one client that does one thing wrong (see raw_before_login.py and
raw_after_login.py), with the certificate beside KEY-FILE. Prints
  port N          where it came from
  ...             what the case itself has to say
  goes on         the connection is good for a session afterwards, or
  ended: HOW      the server has ended it: "disconnect CODE TEXT", or "closed"
and exits 0 in both cases; 1 when the server did neither within its time.

A case is named FIRST_...: what has happened on the connection before.
  hello_   connected only        plain_   identified, no keys yet     keys_    keys exchanged
  login_   logged in             session_ logged in, `cat` runs on a channel"""
import os
import socket
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import raw_after_login  # noqa: E402
import raw_before_login  # noqa: E402
from raw_common import *  # noqa: E402,F403


def finish(c, stage):
    """Whether the connection is still good for a session."""
    if stage == "plain" or stage == "hello":
        c.receive()
        c.receive()
        raise SystemExit("raw_client: the key exchange went on")
    if stage == "keys":
        if not c.has_service:
            c.ask_service()
        c.send(c.auth_request(USER, KEY))
        while (answer := c.receive())[0] != USERAUTH_SUCCESS:
            if answer[0] not in (UNIMPLEMENTED, USERAUTH_FAILURE):
                raise SystemExit(f"raw_client: no login: {NAMES.get(answer[0], answer[0])}")
    c.send(c.open_request())
    while (answer := c.receive())[0] != OPEN_CONFIRMATION:
        if answer[0] == OPEN_FAILURE:
            raise SystemExit("raw_client: no session")
    channel = struct.unpack(">I", answer[5:9])[0]
    if not c.request(channel, "exec", string("echo al''ive")):
        raise SystemExit("raw_client: no command")
    c.output(b"alive\n")
    say("goes on")


def main():
    name = sys.argv[4]
    stage = name.split("_")[0]
    c = Connection(HOST)
    c.socket.settimeout(PATIENCE)
    say(f"port {c.socket.getsockname()[1]}")
    if stage != "hello":
        c.hello()
    if stage not in ("hello", "plain"):
        c.exchange_keys()
    if stage not in ("hello", "plain", "keys"):
        c.login(USER, KEY)
    if stage == "session":
        c.cat = c.open()
        c.request(c.cat, "exec", string("cat"))
    try:
        cases = raw_before_login if hasattr(raw_before_login, name) else raw_after_login
        getattr(cases, name)(c)
        finish(c, stage)
    except Ended as end:
        say(f"ended: {end}")
    except socket.timeout:
        raise SystemExit("raw_client: the server neither answers nor ends the connection") from None


main()
