# SPDX-License-Identifier: Apache-2.0
"""Figures under load: many logins at once, many connections that do nothing, and all of them withdrawn by an apply."""
import concurrent.futures
import json
import os
import selectors
import shutil
import subprocess
import sys
import time

from measure import QUICK, add_input, cpu_seconds, descendants, interleaved, pss, timed
from stage import FABRIC_PORT, TABLET, servers, until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bats"))
from raw_ssh import Connection  # noqa: E402

WORKERS = 16


def logins(stage, table):
    """Logins a second that a crowd of parallel clients gets; both servers have the same machine for themselves."""
    count = 16 if QUICK else 160

    def crowd(pool, host):
        one = lambda _: timed(*add_input(stage.ssh("near", host, "true")))
        start = time.perf_counter()
        list(pool.map(one, range(count)))
        return time.perf_counter() - start

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        alone, ours, theirs = interleaved(1 if QUICK else 5, *servers(stage, lambda host: crowd(pool, host)))
    figure = f"{count} logins, {WORKERS} at once"
    table.add(f"{figure}, the servers alone", count / alone, count / theirs, "logins/s", alone / theirs, 1 / 1.6)
    table.add(f"{figure}, all of ours included", count / ours, count / theirs, "logins/s", ours / theirs)


def credential(stage):
    """The certificate of the near instance, as an ssh has just had it written, where it does not change any more."""
    stage.renew()
    folder = f"{stage.folder}/near/run/ssh"
    key = f"{stage.folder}/crowd_key"
    shutil.copy(f"{folder}/subject", key)
    shutil.copy(f"{folder}/server-cert.pub", f"{key}-cert.pub")
    return key


def connections(stage, count, ours=True, port=FABRIC_PORT, source=lambda i: None):
    """As many that are logged in, the i-th from the address source(i)."""
    clients, key = [], ""
    for i in range(count):
        if i % 100 == 0:
            key = credential(stage) if ours else f"{stage.home}/.ssh/id_ed25519"
        clients.append(Connection(stage.address, port, source(i)))
        clients[-1].hello()
        clients[-1].exchange_keys()
        clients[-1].login(stage.user, key, certificate=ours)
    return clients


def crowd(stage, table):
    """Connections that are logged in and do nothing: the memory of each, and the processor time of all. The clients
    are sockets in this process: a thousand ssh would need more memory than what is measured."""
    count = 20 if QUICK else 1000
    seconds = 1 if QUICK else 10
    memory, busy = [], []
    for ours, root, port in ((True, stage.qf_up.pid, FABRIC_PORT), (False, stage.sshd.pid, stage.sshd_port)):
        resting = 3 if ours else 0
        until("the server is idle", lambda: len(descendants(root)) <= resting)
        before = descendants(root)
        clients = connections(stage, count, ours, port)
        until(f"{count} idle connections", lambda: len(descendants(root) - before) == 2 * count, 60)
        start = cpu_seconds(descendants(root))
        # time in which nothing must happen
        time.sleep(seconds)
        busy.append((cpu_seconds(descendants(root)) - start) / seconds)
        memory.append(pss(descendants(root) - before) / count)
        for client in clients:
            client.socket.close()
        until("they are gone", lambda: len(descendants(root)) <= resting, 60)
    table.add(f"PSS of an idle connection ({count:,})", memory[0], memory[1], "KiB", memory[0] / memory[1], 0.6)
    table.add_limit(f"processor time of {count:,} idle connections", busy[0] * 1000, busy[1] * 1000, "ms/s", 10)


def change(stage, changed):
    """Applies the server's document after changed(document), with the next serial."""
    with open(f"{stage.folder}/server/config/fabric.json") as current:
        document = json.load(current)
    document["serial"] += 1
    changed(document)
    stage.write_document("server", document)
    subprocess.run([f"{stage.bin}/qf-up", "apply", *stage.folders("server")], check=True, capture_output=True)


def ended(clients, seconds):
    """Waits until the server has closed them all; how many it has not."""
    left = {client.socket for client in clients}
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for socket in left:
            selector.register(socket, selectors.EVENT_READ)
        while left and time.monotonic() < deadline:
            for key, _ in selector.select(deadline - time.monotonic()):
                try:
                    gone = not key.fileobj.recv(1 << 16)  # what it says before its end is read away
                except OSError:
                    gone = True
                if gone:
                    selector.unregister(key.fileobj)
                    left.discard(key.fileobj)
    return len(left)


def revoke(stage, table):
    """One peer, from which every twentieth of many live sessions comes, is no longer a source of the policy. The last
    session is one of those, so all have been judged when they are gone; the others live on."""
    count = 20 if QUICK else 1000
    withdrawn = lambda i: i % 20 == 19
    figure = f"from apply to the end of {count // 20:,} of {count:,} sessions"
    root = stage.qf_up.pid
    until("the server is idle", lambda: len(descendants(root)) <= 3, 60)
    clients = connections(stage, count, source=lambda i: TABLET if withdrawn(i) else None)
    start = time.perf_counter()
    change(stage, lambda document: document["policies"][0].update(sources=["client"]))
    applied = time.perf_counter()
    left = ended([client for i, client in enumerate(clients) if withdrawn(i)], 10)
    done = time.perf_counter()
    others = [client for i, client in enumerate(clients) if not withdrawn(i)]
    gone = len(others) - ended(others, 0.5)
    for client in clients:
        client.socket.close()
    change(stage, lambda document: document["policies"][0].update(sources=["client", "tablet"]))
    until("they are gone", lambda: len(descendants(root)) <= 3, 60)
    with open(f"{stage.folder}/server/state/audit.log") as log:
        revoked = sum(1 for line in log if json.loads(line).get("event") == "revoked")
    if left > 0 or gone > 0 or revoked != count // 20:
        return table.add_failure(figure, f"{left:,} of them live on, {gone:,} others are gone, {revoked:,} in the audit log", 1)
    table.add_limit(figure, done - applied, None, "s", 1, f"{done - start:.2g} s with the apply")
