#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libssh_client.py config FILE HOST USER COMMAND
libssh_client.py stubborn FILE HOST USER COMMAND
libssh_client.py password HOST PORT USER COMMAND KNOWN-HOSTS < PASSWORD
libssh_client.py interactive HOST PORT USER COMMAND KNOWN-HOSTS < ANSWERS

A small client of libssh, which reads an ssh_config file itself; as kio, Remmina or a program of one's own is. Checks the host
key against the known_hosts file that the configuration names. "stubborn" tries one method after the other, whichever the
server names, up to an error. "interactive" answers each question with a line. Prints what the server says on stderr, the command's output on
stdout; exits with its status, or 255."""
import ctypes
import ctypes.util
import sys

HOST, PORT, USER, KNOWNHOSTS, GLOBAL_KNOWNHOSTS = 0, 1, 4, 8, 38
OK, KNOWN, SUCCESS, INFO, ERROR = 0, 1, 0, 3, -1
lib = ctypes.CDLL(ctypes.util.find_library("ssh") or "libssh.so.4")
for name in ("ssh_new", "ssh_channel_new"):
    getattr(lib, name).restype = ctypes.c_void_p
for name in ("ssh_get_error", "ssh_get_issue_banner", "ssh_userauth_kbdint_getinstruction", "ssh_userauth_kbdint_getprompt"):
    getattr(lib, name).restype = ctypes.c_char_p
session = ctypes.c_void_p(lib.ssh_new())


def stop(what):
    banner = lib.ssh_get_issue_banner(session)
    sys.stderr.write(f"{banner.decode() if banner else ''}\n{what}: {lib.ssh_get_error(session).decode()}\n")
    sys.exit(255)


def option(number, text):
    if lib.ssh_options_set(session, number, text.encode()) != OK:
        stop(f"option {number}")


def interactive():
    while (result := lib.ssh_userauth_kbdint(session, None, None)) == INFO:
        sys.stderr.write(f"{lib.ssh_userauth_kbdint_getinstruction(session).decode()}\n")
        for i in range(lib.ssh_userauth_kbdint_getnprompts(session)):
            sys.stderr.write(f"{lib.ssh_userauth_kbdint_getprompt(session, i, None).decode()}\n")
            sys.stderr.flush()
            lib.ssh_userauth_kbdint_setanswer(session, i, sys.stdin.readline().rstrip("\n").encode())
    return result


def stubborn():
    ways = (lambda: lib.ssh_userauth_none(session, None), lambda: lib.ssh_userauth_publickey_auto(session, None, None),
            interactive, lambda: lib.ssh_userauth_password(session, None, b"x"))
    for way in ways:
        if (result := way()) in (SUCCESS, ERROR):
            break
    return result


how = sys.argv[1]
if how in ("config", "stubborn"):
    config, host, user, command = sys.argv[2:]
    option(HOST, host)
    if lib.ssh_options_parse_config(session, config.encode()) != OK:
        stop("configuration")
else:
    host, port, user, command, known = sys.argv[2:]
    option(HOST, host)
    lib.ssh_options_set(session, PORT, ctypes.byref(ctypes.c_uint(int(port))))
    option(KNOWNHOSTS, known)
    option(GLOBAL_KNOWNHOSTS, "/dev/null")
option(USER, user)
if lib.ssh_connect(session) != OK:
    stop("connection")
if lib.ssh_session_is_known_server(session) != KNOWN:
    stop("host key")
if how == "config":
    result = lib.ssh_userauth_none(session, None)
elif how == "stubborn":
    result = stubborn()
elif how == "interactive":
    result = interactive()
else:
    result = lib.ssh_userauth_password(session, None, sys.stdin.read().strip().encode())
if result != SUCCESS:
    stop("login")
channel = ctypes.c_void_p(lib.ssh_channel_new(session))
if lib.ssh_channel_open_session(channel) != OK or lib.ssh_channel_request_exec(channel, command.encode()) != OK:
    stop("command")
buffer = ctypes.create_string_buffer(65536)
while (count := lib.ssh_channel_read(channel, buffer, len(buffer), 0)) > 0:
    sys.stdout.buffer.write(buffer.raw[:count])
sys.stdout.flush()
status = lib.ssh_channel_get_exit_status(channel)
lib.ssh_disconnect(session)
sys.exit(status)
