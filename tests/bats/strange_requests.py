#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""strange_requests.py HOST USER KEY CERTIFICATE

Asks a logged-in connection for what the server's library does not know, and prints how each was answered; then runs a
command on the same connection."""
import logging
import socket
import sys

import paramiko
from paramiko import common

# it says on standard error what is printed here
logging.disable(logging.CRITICAL)
host, user, key_file, certificate = sys.argv[1:5]
transport = paramiko.Transport(socket.create_connection((host, 22022), 10))
transport.start_client(timeout=10)
key = paramiko.Ed25519Key.from_private_key_file(key_file)
key.load_certificate(certificate)
transport.auth_publickey(user, key)

for kind in ("tun@openssh.com", "direct-streamlocal@openssh.com", "x11", "auth-agent@openssh.com", "forwarded-tcpip",
             "no-such-type"):
    try:
        transport.open_channel(kind, dest_addr=("localhost", 1), src_addr=("localhost", 2), timeout=10)
        print(f"channel {kind}: opened")
    except paramiko.ChannelException as error:
        print(f"channel {kind}: refused, reason {error.code}")

for kind in ("streamlocal-forward@openssh.com", "no-such-request"):
    answer = transport.global_request(kind, ("/tmp/x.sock",), wait=True)
    print(f"global {kind}: {'failure' if answer is None else 'success'}")

channel = transport.open_session(timeout=10)
for kind in ("break", "eow@openssh.com", "no-such-request", "x11-req"):
    request = paramiko.Message()
    request.add_byte(common.cMSG_CHANNEL_REQUEST)
    request.add_int(channel.remote_chanid)
    request.add_string(kind)
    request.add_boolean(True)
    if kind == "x11-req":
        # with a protocol and a cookie that are none
        request.add_boolean(False)
        request.add_string("no good")
        request.add_string("zz")
        request.add_int(0)
    channel._event_pending()
    transport._send_user_message(request)
    try:
        channel._wait_for_event()
        print(f"request {kind}: success")
    except paramiko.SSHException:
        print(f"request {kind}: failure")
        # paramiko closes the channel at a failure
        channel = transport.open_session(timeout=10)
channel.exec_command("echo still here")
print("command:", channel.makefile().read().decode().strip())
transport.close()
