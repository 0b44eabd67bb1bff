# SPDX-License-Identifier: Apache-2.0
"""Figures under load: many logins at once, many connections that do nothing."""
import concurrent.futures
import os
import shutil
import sys
import time

from measure import QUICK, add_input, cpu_seconds, descendants, interleaved, pss, timed
from stage import FABRIC_PORT, servers, until

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


def crowd(stage, table):
    """Connections that are logged in and do nothing: the memory of each, and the processor time of all. The clients
    are sockets in this process: a thousand ssh would need more memory than what is measured."""
    count = 20 if QUICK else 1000
    seconds = 1 if QUICK else 10
    memory, busy = [], []
    for ours, root, port in ((True, stage.qf_up.pid, FABRIC_PORT), (False, stage.sshd.pid, stage.sshd_port)):
        resting = 3 if ours else 0
        until("the server is idle", lambda: len(descendants(root)) <= resting)
        before, clients, key = descendants(root), [], ""
        for i in range(count):
            if i % 100 == 0:
                key = credential(stage) if ours else f"{stage.home}/.ssh/id_ed25519"
            clients.append(Connection(stage.address, port))
            clients[-1].hello()
            clients[-1].exchange_keys()
            clients[-1].login(stage.user, key, certificate=ours)
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
