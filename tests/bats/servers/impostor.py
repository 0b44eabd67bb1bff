#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""impostor.py KIND ADDRESS PORT LOG

A complete SSH server with the identification line of ours (KIND jwt or no-jwt) and a host key of its own. It takes
every login. Each attempt goes to LOG, so that a test can say that nobody has shown it a credential.
"""
import socket
import sys
import threading

import paramiko

LINES = {"jwt": "QuFabric-SSH-Server-0.61.0 QuFabric-JWT-Required", "no-jwt": "QuFabric-SSH-Server-0.61.0"}


class Greedy(paramiko.ServerInterface):
    def __init__(self, note):
        self.note = note

    def get_allowed_auths(self, username):
        return "publickey,password,keyboard-interactive"

    def check_auth_none(self, username):
        self.note(f"none {username}")
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_password(self, username, password):
        self.note(f"password {username} {len(password)}")
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_publickey(self, username, key):
        self.note(f"publickey {username} {key.get_name()}")
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, channel):
        return paramiko.OPEN_SUCCEEDED


def main():
    kind, address, port, log = sys.argv[1:]
    lock = threading.Lock()

    def note(text):
        with lock, open(log, "a") as out:
            out.write(text + "\n")

    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server((address, int(port)), backlog=64)
    transports = []
    while True:
        connection, _ = listener.accept()
        note("connection")
        transport = paramiko.Transport(connection)
        transport.local_version = "SSH-2.0-" + LINES[kind]
        transport.add_server_key(key)
        transports.append(transport)
        try:
            transport.start_server(event=threading.Event(), server=Greedy(note))
        except Exception as error:  # a client that leaves
            note(f"end {type(error).__name__}")


main()
