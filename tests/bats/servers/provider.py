#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""provider.py FOLDER

An identity provider that means harm, over TLS (FOLDER/tls.pem, FOLDER/tls.key), on a free port of 127.0.0.1: one issuer a
case, https://127.0.0.1:PORT/CASE, whose device login goes wrong in that way (CASES below; the others are FAULT-REQUEST, the
requests being discovery, device and token). Besides a plain server, where its redirects lead. In FOLDER: "url" and "elsewhere"
(their addresses, when both listen), "requests" (a line for each: CASE REQUEST), "visits" (what has come to the other server)."""
import http.server
import json
import os
import socket
import socketserver
import ssl
import sys
import threading
import time

FOLDER = sys.argv[1]
PENDING = (400, {"error": "authorization_pending"})
DENIED = (400, {"error": "access_denied"})
# case: changes to the answer of the device authorization, the answer to each poll
CASES = {
    "nothing-wrong": ({}, DENIED),
    "token-100k": ({}, (200, {"id_token": "e" * 100_000})),
    "token-number": ({}, (200, {"id_token": 7})),
    "token-none": ({}, (200, {"access_token": "x"})),
    "slow-down": ({"expires_in": 9}, (400, {"error": "slow_down"})),
    "error-10k": ({}, (400, {"error": "x" * 10_000, "error_description": "\x1b[2J" + "y" * 10_000})),
    "interval-0": ({"interval": 0, "expires_in": 4}, PENDING),
    "interval-negative": ({"interval": -7, "expires_in": 4}, PENDING),
    "interval-huge": ({"interval": 1e300, "expires_in": 4}, PENDING),
    "interval-text": ({"interval": "soon", "expires_in": 4}, PENDING),
    "interval-list": ({"interval": [1], "expires_in": 4}, PENDING),
    "expires-0": ({"expires_in": 0}, PENDING),
    "expires-negative": ({"expires_in": -1}, PENDING),
    "expires-huge": ({"expires_in": 1e15}, DENIED),
    "expires-text": ({"expires_in": "never"}, DENIED),
    "uri-control": ({"verification_uri": "https://idp.example/\x1b]0;x\x07"}, DENIED),
    "uri-lines": ({"verification_uri": "https://idp.example/\nhint: run this"}, DENIED),
    "uri-script": ({"verification_uri": "javascript:alert(1)"}, DENIED),
    "uri-data": ({"verification_uri": "data:text/html,x"}, DENIED),
    "uri-plain": ({"verification_uri": "http://idp.example/"}, DENIED),
    "uri-user": ({"verification_uri": "https://idp.example@evil.example/"}, DENIED),
    "uri-10k": ({"verification_uri": "https://idp.example/" + "x" * 10_000}, DENIED),
    "uri-script-complete": ({"verification_uri_complete": "javascript:alert(1)"}, DENIED),
    "code-10k": ({"user_code": "A" * 10_000}, DENIED),
    "code-control": ({"user_code": "AB\x1b[2J"}, DENIED),
    "code-number": ({"user_code": 12345678}, DENIED),
    "no-code": ({"device_code": ""}, DENIED),
    "now-and-then": ({"expires_in": 14}, None),
}
polls = {}
lock = threading.Lock()


def note(file, text):
    with lock, open(os.path.join(FOLDER, file), "a") as out:
        out.write(text + "\n")


class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def answer(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def trouble(self, fault):
        """In place of an answer; the connection ends with it."""
        self.close_connection = True
        if fault == "hang":
            time.sleep(100)
        elif fault == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                self.wfile.write(b" ")
                time.sleep(1)
        elif fault == "cut":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"issuer": ')
        elif fault == "reset":
            self.wfile.write(b"HTTP/1.1 200 O")
        elif fault == "redirect":
            self.send_response(307)
            self.send_header("Location", open(os.path.join(FOLDER, "elsewhere")).read())
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fault == "headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for number in range(4000):
                self.wfile.write(b"X-%d: " % number + b"x" * 200 + b"\r\n")
        elif fault == "endless":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while True:
                self.wfile.write(b" " * 65536)
        elif fault == "html":
            self.answer(200, b"<html>{</html>", "text/html")
        elif fault == "empty":
            self.answer(200, b"")
        elif fault == "nested":
            self.answer(200, b"[" * 200_000)
        else:
            raise SystemExit(f"provider: no fault {fault}")

    def serve(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        case, request = self.path.strip("/").split("/", 1)
        request = {".well-known/openid-configuration": "discovery"}.get(request, request)
        note("requests", f"{case} {request}")
        if case.endswith("-" + request):
            return self.trouble(case[:-len(request) - 1])
        changes, poll = CASES.get(case, ({"expires_in": 5}, DENIED))
        base = f"{URL}/{case}"
        if request == "discovery":
            return self.answer(200, {"issuer": base, "token_endpoint": base + "/token", "jwks_uri": base + "/jwks",
                                     "device_authorization_endpoint": base + "/device"})
        if request == "jwks":
            return self.answer(200, {"keys": []})
        if request == "device":
            return self.answer(200, {"device_code": "d", "user_code": "BCDF-GHJK", "verification_uri": base + "/go",
                                     "expires_in": 60, "interval": 1, **changes})
        polls[case] = polls.get(case, 0) + 1
        if poll is None:
            poll = PENDING if polls[case] % 2 else (503, {})
        return self.answer(*poll)

    def do_GET(self):
        try:
            self.serve()
        except OSError:
            self.close_connection = True

    do_POST = do_GET


class Elsewhere(socketserver.BaseRequestHandler):
    def handle(self):
        note("visits", repr(self.request.recv(4096)))


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # a client that has left


server = Server(("127.0.0.1", 0), Provider)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(FOLDER, "tls.pem"), os.path.join(FOLDER, "tls.key"))
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
URL = f"https://127.0.0.1:{server.server_address[1]}"
elsewhere = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Elsewhere)
threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
for name, text in (("elsewhere", f"http://127.0.0.1:{elsewhere.server_address[1]}/"), ("url", URL)):
    with open(os.path.join(FOLDER, name), "w") as out:
        out.write(text)
server.serve_forever()
