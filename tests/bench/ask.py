#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ask.py SOCKET REQUEST END CLIENTS COUNT PAUSE: so many clients send REQUEST to the Unix socket COUNT times each, every
time over a new connection as an ssh does, and read the answer, whose last line ends with END. Between two requests a
client rests PAUSE seconds on average. Prints the seconds that the answers took, from connect() on, as a JSON list of a
list for each client; what this process itself takes is in them, whoever answers.
Exit 1 when an answer is not the one that was asked for: neither "ok":true nor "status":"success".
"""
import gc
import heapq
import json
import random
import resource
import select
import socket
import sys
import time


class Client:
    def __init__(self, question, count, pause):
        self.path, self.request, self.end = question
        self.left, self.pause = count, pause
        self.taken = []

    def next_time(self):
        return time.perf_counter() + (random.uniform(0, 2 * self.pause) if self.pause else 0)

    def ask(self):
        self.answer = b""
        self.start = time.perf_counter()
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(self.path)
        self.connection.sendall(self.request)

    def receive(self):
        """True when the answer is complete."""
        part = self.connection.recv(65536)
        seconds = time.perf_counter() - self.start
        self.answer += part
        last = self.answer.rstrip(b"\n").rsplit(b"\n", 1)[-1]
        if part and (not self.answer.endswith(self.end) or last.startswith(b'{"event"')):
            return False
        self.connection.close()
        if b'"ok":true' not in last and b'"status":"success"' not in last:
            sys.exit(f"ask.py: {self.path} answers {self.answer[:200].decode(errors='replace')!r}")
        self.taken.append(seconds)
        self.left -= 1
        return True


def run(clients):
    due = [(client.next_time(), i) for i, client in enumerate(clients)]
    heapq.heapify(due)
    asking = {}
    poll = select.epoll()
    while due or asking:
        now = time.perf_counter()
        if due and due[0][0] <= now:
            client = clients[heapq.heappop(due)[1]]
            client.ask()
            asking[client.connection.fileno()] = client
            poll.register(client.connection, select.EPOLLIN)
        wait = max(0, due[0][0] - time.perf_counter()) if due else None
        for descriptor, _ in poll.poll(wait):
            client = asking[descriptor]
            if client.receive():
                # closed, so epoll has forgotten it
                del asking[descriptor]
                if client.left > 0:
                    heapq.heappush(due, (client.next_time(), clients.index(client)))


def main():
    path, request, end, clients, count, pause = sys.argv[1:]
    gc.disable()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    everybody = [Client((path, request.encode(), end.encode()), int(count), float(pause)) for _ in range(int(clients))]
    run(everybody)
    print(json.dumps([client.taken for client in everybody]))


main()
