#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gateway.py FOLDER: plays the JSON gateway of an etcd on a free port of loopback, which it writes to FOLDER/port, badly.

FOLDER/mode says how, at each request: nothing (well, with the keys in FOLDER/keys, a JSON object, at revision 7), nonsense,
html (500), endless (a range without end), line (a watch whose line has no end), silent, hangup (a watch ends at once), order (keys
out of order), foreign (keys that nobody asked for), deep (JSON in JSON), base64 (broken), pages (more and more pages of one
key), token (a login with a token of two lines), stale (a login whose token is good for one page of many),
strange-events (keys that nobody asked for). FOLDER/requests has a line a request: its path and body."""
import base64
import http.server
import json
import os
import sys
import time

sys.dont_write_bytecode = True
from told import ToldHandler  # noqa: E402

FOLDER = sys.argv[1]
HEADER = {"cluster_id": "18446744073709551615", "member_id": "1", "revision": "7", "raft_term": "2"}


def text(raw):
    return base64.b64encode(raw.encode()).decode()


class Handler(ToldHandler):
    folder = FOLDER

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.note(f"{self.path} {body}")
        try:
            self.answer(json.loads(body))
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.close_connection = True

    def say(self, raw, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw.encode())

    def flood(self, piece):
        self.send_response(200)
        self.end_headers()
        for _ in range(1 << 20):
            self.wfile.write(piece)

    def answer(self, request):
        if self.mode() == "silent":
            time.sleep(60)
        elif self.mode() == "html":
            self.say("<html>no</html>", 500)
        elif self.mode() == "nonsense":
            self.say("{\"header\":[]}\x00\xff")
        elif self.path == "/v3/auth/authenticate":
            self.say(json.dumps({"token": "a\r\nX-Other: b" if self.mode() == "token" else "abc"}))
        elif self.path == "/v3/watch":
            self.watch()
        elif request.get("count_only"):
            self.say(json.dumps({"header": HEADER, "count": "2"}))
        else:
            first = base64.b64decode(request["key"]).decode()
            if self.mode() == "stale" and not first.endswith("/"):
                self.say(json.dumps({"code": 16, "message": "etcdserver: invalid auth token"}), 401)
            else:
                self.range(first)

    def range(self, first):
        with open(f"{FOLDER}/keys", encoding="utf-8") as file:
            kept = json.load(file)
        pairs = [{"key": text(key), "value": text(kept[key])} for key in sorted(kept)]
        result = {"header": HEADER, "kvs": pairs, "count": len(pairs)}
        if self.mode() == "endless":
            return self.flood(b"{\"a\":\"" + b"a" * (1 << 20))
        if self.mode() == "deep":
            return self.say("{\"header\":" * 100000)
        if self.mode() == "order":
            pairs.reverse()
        if self.mode() == "foreign":
            pairs.append({"key": text("/zzz"), "value": ""})
        if self.mode() == "base64":
            pairs[0]["value"] = "a===="
        if self.mode() == "stale":
            result["more"] = True
        if self.mode() == "pages":
            result = {"header": HEADER, "more": True, "kvs": [{"key": text(first + "peers/a"), "value": text("x" * (1 << 20))}]}
        return self.say(json.dumps(result))

    def watch(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((json.dumps({"result": {"header": HEADER, "created": True}}) + "\n").encode())
        self.wfile.flush()
        event = {"kv": {"key": text("/zzz"), "mod_revision": "8"}}
        if self.mode() == "strange-events":
            self.wfile.write((json.dumps({"result": {"header": HEADER, "events": [event]}}) + "\n").encode())
        elif self.mode() == "line":
            for _ in range(1 << 20):
                self.wfile.write(b"a" * (1 << 20))
        elif self.mode() != "hangup":
            time.sleep(600)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(f"{FOLDER}/port.new", "w", encoding="ascii") as port:
    port.write(str(server.server_port))
os.rename(f"{FOLDER}/port.new", f"{FOLDER}/port")
server.serve_forever()
