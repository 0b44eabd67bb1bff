#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""actions_runner.py FILE: the address at which a GitHub Actions job asks for its id token, on a free port of 127.0.0.1,
which is printed. Gives FILE to who has the job's secret and names the audience."""
import http.server
import sys


class Runner(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.headers.get("Authorization") == "bearer s3cret" and "audience=https://ssh.fabric.example" in self.path
        self.send_response(200 if allowed else 401)
        self.end_headers()
        if allowed:
            with open(sys.argv[1], "rb") as value:
                self.wfile.write(value.read())

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Runner)
print(server.server_address[1], flush=True)
server.serve_forever()
