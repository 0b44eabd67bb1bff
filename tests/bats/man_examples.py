#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""man_examples.py PAGE FOLDER: the commands of the EXAMPLES section of a manual page, for man_examples.bats.

Writes FOLDER/N.root or FOLDER/N.user for the N-th example: a script for bash. What cannot run there is left out, and said
with its reason in FOLDER/left-out; a rule that leaves nothing out is an error when it names this page."""
import os
import re
import sys

PAGE, FOLDER = sys.argv[1:]
NAME = os.path.basename(PAGE)

# page, what the command starts with (with a $ at its end: all of it), and why it is not run
LEFT_OUT = [
    ("qf-proxy.1", "ProxyCommand", "a line of ssh_config, which every test with ssh runs"),
    ("qf-proxy.1", "plink", "a person answers its question about the host key; clients.bats does"),
    ("qf-proxy.1", "psftp", "the same"),
    ("qf-proxy.1", "client", "Python, in clients.bats"),
    ("qf-sshd.8", "qf-token show --issuer corp | qf-sshd --verify-token --issuer https", "wants the provider; verify_token.bats has one"),
    ("qf-sshd.8", "qf-token show --issuer corp | qf-sshd --verify-token --issuer \"$(entry .issuer)\" --audience \"$(entry '.audiences[0]')\"$",
     "the same"),
    ("qf-tokend-protocol.7", "> {", "a transcript"),
    ("qf-token.1", "qf-token login --issuer github", "wants a CI system; tokend_sources.bats has one"),
    ("qf-tokend.1", "systemctl", "no systemd runs here; systemd.bats has one"),
    ("qf-up.8", "systemctl", "no systemd runs here; systemd.bats has one"),
    ("qf-up.8", "echo \"ops@example.com", "wants a web server with a certificate; document_source.bats has one"),
    ("qf-up.8", "sudo qf-up apply --document", "the same"),
    ("qf-up.8", "qf-up publish", "wants etcd with users and a certificate; etcd_access.bats has one"),
    ("qf-up.8", "sudo qf-up enroll --interface wg0 --publish", "the same"),
    ("qufabric.7", "QF_SSH=off", "wants an ordinary sshd on port 22; openssh_versions.bats has one"),
    ("qufabric.7", "qf-token login --issuer partner", "the document there has no second issuer for people"),
]
# that stay until they are ended, and what they say when they serve
SERVES = [("qf-sshd --self", "listening on"), ("qf-up up", "listening on"), ("qf-tokend --foreground", "listening at")]
# whose answer may be no
ANSWERS = ["qf-up explain", "qf-up test", "qf-token status", "pgrep", "qf-up status", "qf-up audit show --since 1d --event"]


def plain(line):
    return line.replace("\\e", "\\").replace("\\-", "-").replace("\\&", "")


def examples():
    """Each example as its lines."""
    inside = block = None
    with open(PAGE, encoding="utf-8") as file:
        for line in file.read().split("\n"):
            if line.startswith(".Sh "):
                inside = line == ".Sh EXAMPLES"
            elif not inside:
                continue
            elif line.startswith(".Bd"):
                block = []
            elif line == ".Ed":
                yield block
                block = None
            elif block is not None:
                block.append(plain(line))
            elif line.startswith(".Dl "):
                # what a transcript of several lines shows is no command
                text = plain(line[4:])
                if text.startswith(("$ ", "# ")) or not text.startswith("db1 port"):
                    yield [text]


def unfinished(command):
    if command.endswith(("\\", "|", "&&")) or re.sub(r" # .*", "", command).count("'") % 2 == 1:
        return True
    # of a case in a shell there are more ends than beginnings
    return len(re.findall(r"\{(?=\s|$)", command)) > command.count("}") or command.count("(") > command.count(")")


def commands(lines):
    """(root, command) of each; of an example with prompts only what stands behind one."""
    # "# " is also how some programs mark a remark
    prompts = ("# ", "$ ") if lines[0].startswith("# ") else ("$ ",)
    prompted = lines[0].startswith(prompts)
    root, command = NAME.endswith(".8"), None
    for line in lines:
        if command is not None:
            command += "\n" + line
        elif prompted and not line.startswith(prompts):
            continue
        elif prompted:
            root, command = line[0] == "#", line[2:]
        elif line:
            command = line
        if command is not None and not unfinished(command):
            yield root, command
            command = None
    assert command is None, command


def reason(command):
    flat = re.sub(r"\s*\\?\n\s*", " ", command)
    for page, start, why in LEFT_OUT:
        if page == NAME and (flat.startswith(start) or flat + "$" == start):
            used.add((page, start))
            return why
    return None


def script_of(command):
    for start, says in SERVES:
        if command.startswith(start):
            return f"serve '{says}' {command}"
    if any(start in command for start in ANSWERS) and not command.startswith("entry"):
        return "{ " + command + "\n} || [ $? = 1 ]"
    return command


used = set()
functions = []  # which later examples use too
count = 0
with open(f"{FOLDER}/left-out", "w", encoding="utf-8") as left_out:
    for lines in examples():
        script, user = [], False
        for as_root, command in commands(lines):
            why = reason(command)
            if why == "a transcript":
                break
            if why:
                print(f"{command}: {why}", file=left_out)
                continue
            user = user or not as_root
            if re.match(r"\w+\(\) ", command):
                functions.append(command)
                continue
            script.append(script_of(command))
        # with root's folders named as one's own
        user = user or any("$PWD/s" in command for command in script)
        if script:
            count += 1
            with open(f"{FOLDER}/{count}.{'user' if user else 'root'}", "w", encoding="utf-8") as out:
                out.write("\n".join(functions + script) + "\n")
stale = {(page, start) for page, start, _ in LEFT_OUT if page == NAME} - used
assert not stale, stale
print(count)
