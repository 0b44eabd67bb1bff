#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tokend.py SOCKET LOG ANSWERS

Speaks qf-tokend-protocol(7) at SOCKET: ANSWERS is a JSON object of operation to list of lines, sent one after the
other for each request (objects; null ends the connection, a number waits so many seconds). Requests go to LOG, and
"gone" when a client has left.
"""
import json
import os
import socket
import sys
import threading
import time


def main():
    path, log, answers = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)

    def note(text):
        with open(log, "a") as out:
            out.write(text + "\n")

    def serve(connection):
        try:
            for line in connection.makefile("r"):
                note(line.rstrip("\n"))
                for answer in answers.get(json.loads(line).get("op"), [None]):
                    if answer is None:
                        connection.close()
                        return
                    if isinstance(answer, (int, float)):
                        time.sleep(answer)
                        continue
                    connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            pass
        note("gone")

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
