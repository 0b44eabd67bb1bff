#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""document.py FOLDER CERTIFICATE KEY [PORT]: serves the files of FOLDER/www over TLS, on a free port unless one is given, and
writes it to FOLDER/port.

FOLDER/mode says how, at each request: nothing (well, with ETag and 304), plain (without ETag, with Last-Modified), redirect,
endless, slow, truncated, busy (503 with Retry-After), loose (304 whatever was asked). FOLDER/requests has a line a request:
path, status, whether it was conditional."""
import hashlib
import http.server
import os
import ssl
import sys
import time

sys.dont_write_bytecode = True
from told import ToldHandler  # noqa: E402

FOLDER, CERTIFICATE, KEY = sys.argv[1:4]
PORT = int(sys.argv[4]) if len(sys.argv) > 4 else 0


class Handler(ToldHandler):
    folder = FOLDER

    def head(self, status, **headers):
        conditional = bool(self.headers["If-None-Match"] or self.headers["If-Modified-Since"])
        self.note(f"{self.path} {status} {'if' if conditional else 'any'}")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def do_GET(self):
        how = self.mode()
        self.close_connection = True
        if how == "redirect":
            return self.head(302, Location="https://127.0.0.1:1/elsewhere.json", Content_Length=0)
        if how == "busy":
            return self.head(503, Retry_After=7, Content_Length=0)
        if how == "loose":
            return self.head(304)
        if how in ("endless", "slow"):
            self.head(200)
            while True:
                self.wfile.write(b" " * (1 << 16 if how == "endless" else 1))
                if how == "slow":
                    time.sleep(0.2)
        try:
            with open(f"{FOLDER}/www{self.path}", "rb") as file:
                body = file.read()
        except FileNotFoundError:
            return self.head(404, Content_Length=0)
        tag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        when = self.date_time_string(int(os.stat(f"{FOLDER}/www{self.path}").st_mtime))
        if tag == self.headers["If-None-Match"] or (how == "plain" and when == self.headers["If-Modified-Since"]):
            return self.head(304)
        validator = {"Last_Modified": when} if how == "plain" else {"ETag": tag}
        self.head(200, Content_Length=len(body) + (100 if how == "truncated" else 0), **validator)
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(f"{FOLDER}/port.new", "w", encoding="ascii") as port:
    port.write(str(server.server_address[1]))
os.rename(f"{FOLDER}/port.new", f"{FOLDER}/port")
server.serve_forever()
