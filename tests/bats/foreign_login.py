#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""foreign_login.py password HOST USER COMMAND < PASSWORD
foreign_login.py certificate HOST USER COMMAND KEY-FILE [SIGNAL]
foreign_login.py interactive HOST USER COMMAND < ANSWERS
foreign_login.py tunnel PROXY-COMMAND USER COMMAND
foreign_login.py none HOST USER COMMAND

A client with none of our programs, and with none of OpenSSH's own checks: a JWT as password, or the certificate
beside KEY-FILE as it is, or answers to what it is asked, a line each; or through our proxy, with nothing at all; or the same without
it, twice. Prints banner and outcome on stderr, the command's output on stdout; exits with the
command's status, or 255. With SIGNAL (without SIG): sends it once the command has printed something, and prints how the
command ended."""
import socket
import sys

import paramiko

how, host, user, command = sys.argv[1:5]


def answer(title, instructions, prompts):
    sys.stderr.write("\n".join(filter(None, [title, instructions, *(text for text, _ in prompts)])) + "\n")
    sys.stderr.flush()
    return [sys.stdin.readline().rstrip("\n") for _ in prompts]


transport = paramiko.Transport(paramiko.ProxyCommand(host) if how == "tunnel" else socket.create_connection((host, 22022), 10))
try:
    transport.start_client(timeout=10)
    if how == "password":
        transport.auth_password(user, sys.stdin.read().strip(), fallback=False)
    elif how == "interactive":
        transport.auth_timeout = 120
        transport.auth_interactive(user, answer)
    elif how == "tunnel":
        transport.auth_none(user)
    elif how == "none":
        try:
            transport.auth_none(user)
        except paramiko.BadAuthenticationType:
            sys.stderr.write(f"first: {transport.get_banner()}\n")
        transport.auth_none(user)
    else:
        key = paramiko.Ed25519Key.from_private_key_file(sys.argv[5])
        key.load_certificate(f"{sys.argv[5]}-cert.pub")
        transport.auth_publickey(user, key)
except (paramiko.SSHException, EOFError) as error:
    # get_banner() has none once the connection is closed
    banner = transport.auth_handler and transport.auth_handler.banner
    sys.stderr.write(f"{banner.decode() if banner else ''}\n{type(error).__name__}: {error}\n")
    sys.exit(255)
channel = transport.open_session(timeout=10)
channel.exec_command(command)
while data := channel.recv(65536):
    sys.stdout.buffer.write(data)
    if len(sys.argv) > 6:
        # RFC 4254 section 6.9; paramiko has no call for it
        request = paramiko.Message()
        request.add_byte(bytes([98]))
        request.add_int(channel.remote_chanid)
        request.add_string("signal")
        request.add_boolean(False)
        request.add_string(sys.argv.pop(6))
        transport._send_user_message(request)
status = channel.recv_exit_status()
transport.close()
sys.exit(status)
