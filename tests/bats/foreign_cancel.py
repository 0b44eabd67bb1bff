#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""foreign_cancel.py HOST USER SSH-FOLDER NAME ADDRESS PORT: logs in with the certificate that qf-tokend keeps in
SSH-FOLDER for NAME, asks the server to cancel a forward that is not this connection's (RFC 4254 section 7.1), and prints
"refused" or "cancelled"."""
import os
import sys

import paramiko

host, user, folder, name, address, port = sys.argv[1:]
key = paramiko.Ed25519Key.from_private_key_file(os.path.join(folder, "subject"))
key.load_certificate(os.path.join(folder, f"{name}-cert.pub"))
transport = paramiko.Transport((host, 22022))
transport.start_client(timeout=20)
transport.auth_publickey(user, key)
answer = transport.global_request("cancel-tcpip-forward", (address, int(port)), wait=True)
print("refused" if answer is None else "cancelled", flush=True)
transport.close()
