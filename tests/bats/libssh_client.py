#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libssh_client.py config FILE HOST USER COMMAND
libssh_client.py password HOST PORT USER COMMAND KNOWN-HOSTS < PASSWORD

A small client of libssh, which reads an ssh_config file itself; as kio, Remmina or a program of one's own is. Checks the host
key against the known_hosts file that the configuration names. Prints what the server says on stderr, the command's output on
stdout; exits with its status, or 255."""
import ctypes
import ctypes.util
import sys

HOST, PORT, USER, KNOWNHOSTS, GLOBAL_KNOWNHOSTS = 0, 1, 4, 8, 38
OK, KNOWN, SUCCESS = 0, 1, 0
lib = ctypes.CDLL(ctypes.util.find_library("ssh") or "libssh.so.4")
for name in ("ssh_new", "ssh_channel_new"):
    getattr(lib, name).restype = ctypes.c_void_p
for name in ("ssh_get_error", "ssh_get_issue_banner"):
    getattr(lib, name).restype = ctypes.c_char_p
session = ctypes.c_void_p(lib.ssh_new())


def stop(what):
    banner = lib.ssh_get_issue_banner(session)
    sys.stderr.write(f"{banner.decode() if banner else ''}\n{what}: {lib.ssh_get_error(session).decode()}\n")
    sys.exit(255)


def option(number, text):
    if lib.ssh_options_set(session, number, text.encode()) != OK:
        stop(f"option {number}")


if sys.argv[1] == "config":
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
if sys.argv[1] == "config":
    result = lib.ssh_userauth_none(session, None)
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
