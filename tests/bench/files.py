# SPDX-License-Identifier: Apache-2.0
"""Figures of many small files, as scp copies them: a round trip between two programs for each step."""
import os
import shutil

from measure import QUICK, add_input, interleaved, timed
from stage import servers


def tree(folder, count, owner):
    """`count` files of up to 2 KiB, 250 in a folder."""
    for i in range(count):
        part = f"{folder}/{i // 250}"
        if i % 250 == 0:
            os.makedirs(part)
        with open(f"{part}/{i}", "wb") as out:
            out.write(b"x" * (i % 2048))
    for path, _, _ in os.walk(folder):
        os.chown(path, *owner)


def small_files(stage, table):
    """scp -r, in its own protocol (-O) and through sftp, up and down."""
    count = 200 if QUICK else 10000
    source, arrived = f"{stage.home}/small", f"{stage.home}/arrived"
    tree(source, count, (stage.uid, stage.gid))

    def copy(protocol, up, host):
        ends = (source, f"{host}:{arrived}") if up else (f"{host}:{source}", arrived)
        command, options = add_input(stage.ssh("near", "-qr", protocol, *ends))
        seconds = timed(["scp", *command[1:]], options)
        if sum(len(names) for _, _, names in os.walk(arrived)) != count:
            raise SystemExit(f"bench: scp {protocol} did not copy {count} files")
        shutil.rmtree(arrived)
        return seconds

    for name, protocol in (("sftp", "-s"), ("scp -O", "-O")):
        for up in (False, True):
            alone, ours, theirs = interleaved(1 if QUICK else 3, *servers(stage, lambda host: copy(protocol, up, host)))
            figure = f"scp of {count} small files ({name}) {'up' if up else 'down'}"
            table.add(f"{figure}, the servers alone", alone, theirs, "s", alone / theirs)
            table.add(f"{figure}, our relay included", ours, theirs, "s", ours / theirs, 1.05)
