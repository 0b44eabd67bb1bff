# SPDX-License-Identifier: Apache-2.0
"""What the servers that play badly have in common: a folder, in whose file "mode" a test says how they are to play, and in
whose file "requests" they write what they were asked."""
import http.server


class ToldHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = ""

    def log_message(self, *_):
        pass

    def mode(self):
        try:
            with open(f"{self.folder}/mode", encoding="ascii") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""

    def note(self, line):
        with open(f"{self.folder}/requests", "a", encoding="ascii") as file:
            file.write(line + "\n")
