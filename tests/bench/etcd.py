# SPDX-License-Identifier: Apache-2.0
"""How long a change takes from etcd to a peer: three members of Debian's etcd on loopback, and a qf-up that follows them. A
document that was signed before is put there in one transaction; what is measured is the time from the begin of that request
until the document is in force, which is when STATE/current leads to another set of files."""
import base64
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from measure import QUICK
from stage import until

NAMESPACE = "qufabric-document"
PREFIX = "/bench"
MEMBERS = 3


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    return [one.getsockname()[1] for one in held]


class Cluster:
    def __init__(self, folder):
        self.folder, self.children = folder, []
        ports = free_ports(2 * MEMBERS)
        self.clients, peers = ports[:MEMBERS], ports[MEMBERS:]
        url = "http://127.0.0.1:{}".format
        self.commands = [["etcd", "--name", f"m{i}", "--data-dir", f"{folder}/m{i}",
                          "--initial-cluster", ",".join(f"m{j}={url(peers[j])}" for j in range(MEMBERS)),
                          "--listen-client-urls", url(self.clients[i]), "--advertise-client-urls", url(self.clients[i]),
                          "--listen-peer-urls", url(peers[i]), "--initial-advertise-peer-urls", url(peers[i])]
                         for i in range(MEMBERS)]

    def __enter__(self):
        for command in self.commands:
            with open(f"{self.folder}/etcd.log", "a", encoding="ascii") as log:
                self.children.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.kill()
            child.wait()

    def put(self, pairs):
        text = lambda raw: base64.b64encode(raw).decode()
        operations = [{"request_put": {"key": text(f"{PREFIX}/{key}".encode()), "value": text(value)}} for key, value in pairs]
        request = urllib.request.Request(f"http://127.0.0.1:{self.clients[0]}/v3/kv/txn",
                                         json.dumps({"success": operations}).encode())
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer).get("succeeded", False)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def signed(folder, document):
    path = f"{folder}/document.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    if os.path.exists(path + ".sig"):
        os.unlink(path + ".sig")
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", f"{folder}/key", path], check=True,
                   stderr=subprocess.DEVNULL)
    with open(path, "rb") as file, open(path + ".sig", "rb") as signature:
        return [("fabric.json", file.read()), ("fabric.json.sig", signature.read())]


def set_in_force(folder):
    try:
        return os.readlink(f"{folder}/state/current")
    except FileNotFoundError:
        return ""


def in_force_after(cluster, folder, pairs):
    before, start = set_in_force(folder), time.monotonic()
    if not cluster.put(pairs):
        raise SystemExit("bench: etcd takes nothing")
    while set_in_force(folder) == before:
        if time.monotonic() - start > 60:
            raise SystemExit("bench: qf-up takes no document from etcd")
        time.sleep(0.001)
    return time.monotonic() - start


def change(stage, table):
    example = os.path.join(stage.here, "..", "..", "conf", "fabric.example.json")
    with open(example, encoding="utf-8") as file:
        document = json.load(file)
    with tempfile.TemporaryDirectory(prefix="qf-bench-etcd.") as folder, Cluster(folder) as cluster:
        os.chmod(folder, 0o755)
        for name in ("config", "state", "run"):
            os.mkdir(f"{folder}/{name}")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", f"{folder}/key"], check=True)
        with open(f"{folder}/key.pub", encoding="ascii") as key, open(f"{folder}/signers", "w", encoding="ascii") as signers:
            signers.write(f'ops namespaces="{NAMESPACE}" {key.read()}')
        runs = 3 if QUICK else 21
        documents = [signed(folder, {**document, "serial": serial}) for serial in range(1, runs + 2)]
        until("etcd takes a document", lambda: cluster.put(documents[0]), 60)
        hosts = ",".join(f"127.0.0.1:{port}" for port in cluster.clients)
        command = [f"{stage.bin}/qf-up", "up", "--document", f"etcd://{hosts}{PREFIX}", "--document-signers",
                   f"{folder}/signers", *(f"--{name}-dir={folder}/{short}" for name, short in
                                          (("config", "config"), ("state", "state"), ("runtime", "run")))]
        with open(f"{folder}/qf-up.log", "w", encoding="ascii") as log:
            up = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            until("qf-up has a document", lambda: set_in_force(folder) != "", 60)
            in_force_after(cluster, folder, documents[1])  # it follows from now on
            times = [in_force_after(cluster, folder, one) for one in documents[2:]]
        finally:
            up.terminate()
            up.wait()
    table.add_limit("a change in etcd, in force on a peer", statistics.median(times) * 1000, None, "ms", 1000,
                    f"slowest {max(times) * 1000:.0f} ms")
