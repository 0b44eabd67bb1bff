# SPDX-License-Identifier: Apache-2.0
"""What the cases of raw_client.py share: the words of the command line, and how a case looks at the connection."""
import os
import socket
import struct
import sys

from raw_ssh import *  # noqa: F403

HOST, USER, KEY = sys.argv[1:4]
PATIENCE = float(os.environ.get("PATIENCE", "40"))  # seconds


def say(text):
    print(text, flush=True)


def refuse(c, *kinds):
    """Whatever the server answers, if it answers and goes on at all, must be a no."""
    kinds = kinds or (USERAUTH_FAILURE, UNIMPLEMENTED, OPEN_FAILURE, REQUEST_FAILURE, CHANNEL_FAILURE)
    c.socket.settimeout(1)
    try:
        answer = c.receive()
    except socket.timeout:
        say("no answer")
    else:
        say("refused" if answer[0] in kinds else f"answered with {NAMES.get(answer[0], answer[0])}")
    finally:
        c.socket.settimeout(PATIENCE)


def unimplemented(c):
    """RFC 4253 section 11.4, with the number of the packet that was not understood."""
    number = struct.unpack(">I", c.expect(UNIMPLEMENTED)[1:5])[0]
    say("unimplemented" if number == c.sent - 1 else f"unimplemented, but {number} is not {c.sent - 1}")


def echo(c):
    c.send(byte(CHANNEL_DATA) + u32(c.cat) + string("still here"))
    say("cat goes on" if c.output(b"still here").endswith(b"still here") else "cat has ended")


def alive(c):
    """An answer to a request that every server refuses: what came before it has been dealt with."""
    c.send(byte(GLOBAL_REQUEST) + string("ping@test.example") + byte(1))
    while c.receive()[0] != REQUEST_FAILURE:
        pass
