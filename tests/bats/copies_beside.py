#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""copies_beside.py USER PROXY-COMMAND SIZE: logs in, opens a session that stays idle, and beside it copies SIZE bytes down in
one channel after the other, which differ in how large their window is and how much of it they take before they grant more
(RFC 4254 section 5.2). Prints a line for each, with the bytes that came."""
import sys

import paramiko

user, proxy, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
WINDOW = 2 << 20


def copy(transport, words, window, after, then=None):
    """`after`: bytes taken before more is granted; `then`: in the second half of the copy."""
    channel = transport.open_session(window_size=window)
    channel.settimeout(60)
    channel.in_window_threshold = after
    channel.exec_command(f"head -c {size} /dev/zero")
    got = 0
    while data := channel.recv(1 << 16):
        got += len(data)
        if then is not None and got > size // 2:
            channel.in_window_threshold = then
    print(words, got, channel.recv_exit_status(), flush=True)
    channel.close()


transport = paramiko.Transport(paramiko.ProxyCommand(proxy))
transport.start_client(timeout=20)
transport.auth_none(user)
idle = transport.open_session()
idle.exec_command("cat")
copy(transport, "a tenth", WINDOW, WINDOW // 10)
copy(transport, "half", WINDOW, WINDOW // 2)
copy(transport, "all", WINDOW, WINDOW - 1)
copy(transport, "little", 64 << 10, 1)
copy(transport, "seldomer", WINDOW, 32 << 10, WINDOW - 1)
copy(transport, "oftener", WINDOW, WINDOW - 1, 32 << 10)
idle.sendall(b"still here")
idle.shutdown_write()
print(idle.recv(100).decode(), flush=True)
transport.close()
