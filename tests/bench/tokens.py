# SPDX-License-Identifier: Apache-2.0
"""Figures of the token daemon, with Debian's oidc-agent beside it: both have a token of the test provider (tests/idp) and
are asked for it by the same generator (ask.py), one connection a request. oidc-agent answers with its access token,
qf-tokend with the id_token (show) or with a certificate that it signs for each request (credential).

oidc-agent 4 shows HTTP basic authentication at each refresh, which a public client may not, so it has a client with a
secret. After a refresh it encrypts its refresh token anew (argon2, more than a second): an answer that waits for a
refresh waits for that too."""
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.request

from measure import QUICK, descendants, interleaved, pss
from stage import until

HERE = os.path.dirname(os.path.abspath(__file__))
IDP = os.path.join(HERE, "..", "idp")
SECRET_CLIENT, SECRET = "qf-conf", "s3cret"
PERSON = "alice"
FILES = 4352            # descriptors; qf-tokend raises its own limit to as many
LONG = 3000             # seconds that tokens live where they must not run out
HANG = 3                # seconds that the provider lets a refresh wait

SHOW = '{"version":1,"op":"show"}'
CREDENTIAL = '{"version":1,"op":"credential","peer":"server","host":"server","interactive":%s}'
CACHED = CREDENTIAL % "false"


class Provider:
    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        started = subprocess.run([f"{IDP}/start", self.folder], check=True, stdout=subprocess.PIPE, text=True)
        self.url = started.stdout.strip()
        return self

    def __exit__(self, *_):
        subprocess.run([f"{IDP}/stop", self.folder], check=False)

    def knobs(self, **changes):
        """Changes them, and tells them all and how often each path was hit."""
        request = urllib.request.Request(f"{self.url}/_test", json.dumps(changes).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def hits(self, path):
        return self.knobs()["hits"].get(path, 0)

    def approve(self, code):
        subprocess.run([f"{IDP}/approve", self.url, code, PERSON], check=True, stdout=subprocess.DEVNULL)


class Asked:
    """A daemon that is asked for tokens."""

    def __init__(self, stage, process, socket, end):
        self.stage, self.process, self.socket, self.end = stage, process, socket, end
        until(f"{socket} is there", lambda: os.path.exists(socket))

    def start_asking(self, request, clients=1, count=1, pause=0):
        line = request + "\n" if self.end == "\n" else request
        command = [sys.executable, f"{HERE}/ask.py", self.socket, line, self.end, str(clients), str(count), str(pause)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                **self.stage.as_user())

    def ask(self, *request, **how):
        """Seconds that each answer took: a list for each client."""
        return finish(self.start_asking(*request, **how))

    def quantile(self, part, *request, count, **how):
        """Of the answers but the first of each client, which warms up."""
        taken = sorted(s for client in self.ask(*request, count=count + 1, **how) for s in client[1:])
        return taken[int(part * (len(taken) - 1))]

    def memory(self):
        """MB, of all its processes."""
        return pss({self.process.pid} | descendants(self.process.pid)) * 1024 / 1e6


def finish(asking):
    said = asking.communicate()[0]
    if asking.returncode != 0:
        raise SystemExit("bench: a daemon did not give a token")
    return json.loads(said)


class Agent(Asked):
    """oidc-agent with an account."""

    def __init__(self, stage, provider):
        if not shutil.which("oidc-agent"):
            raise SystemExit("bench: there is no oidc-agent\nhint: conf/install-deps bench")
        socket = f"{stage.home}/oidc-agent.sock"
        stage.run_user(["mkdir", "-p", "-m", "700", f"{stage.home}/.oidc-agent"])
        process = stage.start(["oidc-agent", "--console", "--no-autoreauthenticate", "--no-webserver", "-a", socket],
                              "oidc-agent.log", **stage.as_user())
        super().__init__(stage, process, socket, "}")
        options = stage.as_user()
        options["env"] = {**options["env"], "OIDC_SOCK": socket, "OIDC_ENCRYPTION_PW": "of no secret"}
        command = ["oidc-gen", "--manual", f"--iss={provider.url}", f"--client-id={SECRET_CLIENT}",
                   f"--client-secret={SECRET}", "--flow=device", "--scope=openid offline_access", "--pw-env",
                   "--prompt=none", "--confirm-yes", "bench"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, **options) as gen:
            said = ""
            for line in gen.stdout:
                said += line
                if code := re.search("enter the code: ([A-Z-]+)", line):
                    provider.approve(code[1])
        if gen.returncode != 0:
            raise SystemExit(f"bench: oidc-gen: {said[-500:]}")

    @staticmethod
    def request(least=0):
        """A token that is good for this many seconds yet; one that is not is refreshed first."""
        return json.dumps({"request": "access_token", "account": "bench", "min_valid_period": least})


class Tokend(Asked):
    def __init__(self, stage, provider):
        self.provider = provider
        stage.make_folders("tokens", stage.uid)
        with open(f"{stage.folder}/sshd_host_key.pub") as key:
            document = stage.document("127.0.0.9", {}, " ".join(key.read().split()[:2]))
        document["issuers"] = [
            {"name": "corp", "issuer": provider.url, "audiences": ["qf-tokend"], "max_token_age": 2 * LONG,
             "client": {"client_id": "qf-tokend", "flow": "device", "scopes": ["openid", "groups", "offline_access"]}}]
        document["user_groups"] = {"people": [f"corp:{PERSON}"]}
        stage.write_document("tokens", document)
        folders = stage.folders("tokens")
        stage.run_user([f"{stage.bin}/qf-up", "apply", "--self", "client", "--ssh-jwt-cache-ttl", "3600", *folders])
        process = stage.start([f"{stage.bin}/qf-tokend", "--foreground", "--ttl", "3600", *folders], "tokend.log",
                              **stage.as_user())
        super().__init__(stage, process, f"{stage.folder}/tokens/run/tokend.sock", "\n")

    def tell(self, request):
        """The final answer; on the way a login is approved."""
        with subprocess.Popen(["socat", "-t", "100", "-", f"UNIX-CONNECT:{self.socket}"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True, **self.stage.as_user()) as socat:
            socat.stdin.write(request + "\n")
            socat.stdin.close()
            for line in socat.stdout:
                answer = json.loads(line)
                if answer.get("event") == "prompt":
                    self.provider.approve(answer["user_code"])
        return answer

    def log_in(self):
        answer = self.tell('{"version":1,"op":"login","interactive":true}')
        if not answer["ok"]:
            raise SystemExit(f"bench: the login fails: {answer}")

    def log_out(self):
        self.tell('{"version":1,"op":"logout"}')


# ---- the figures
def answers(table, agent, tokend):
    request, turns = agent.request(), 2 if QUICK else 15
    alone = {"count": 50 if QUICK else 500}
    theirs, show, credential = [1000 * x for x in interleaved(
        turns, lambda: agent.quantile(0.5, request, **alone), lambda: tokend.quantile(0.5, SHOW, **alone),
        lambda: tokend.quantile(0.5, CACHED, **alone))]
    table.add("cached token p50, to oidc-agent", show, theirs, "ms", show / theirs, 0.9)
    table.add("certificate from it p50, to oidc-agent's token", credential, theirs, "ms", credential / theirs)
    # a thousand requests a second in all
    many = {"clients": 100, "count": 2 if QUICK else 5, "pause": 0.1}
    theirs, show = [1000 * x for x in interleaved(
        turns, lambda: agent.quantile(0.99, request, **many), lambda: tokend.quantile(0.99, SHOW, **many))]
    table.add_limit("cached token p99, 100 clients", show, theirs, "ms", 1, " (oidc-agent)")


def refreshing(table, agent, tokend, provider):
    """Cached answers while the provider lets a refresh wait. The token is one that was issued long ago and soon ends,
    which is when qf-tokend refreshes; oidc-agent is asked for a longer one, and then for any."""
    figure = "cached answer while a refresh hangs, p99"
    provider.knobs(id_ttl=60, iat_shift=-300)
    tokend.log_out()
    tokend.log_in()
    before = provider.knobs(id_ttl=LONG, iat_shift=0, delay_path="/token", delay_ms=HANG * 1000)["hits"]["/token"]
    state = {"ok": True}

    def refreshes():
        state.update(tokend.tell(CACHED))
        return not state["ok"] or provider.hits("/token") > before

    until("qf-tokend refreshes its token", refreshes, 70)
    if not state["ok"]:
        provider.knobs(delay_ms=0)
        return table.add_failure(figure, "nothing is refreshed", 5)
    start = time.monotonic()
    ours = tokend.quantile(0.99, CACHED, count=100, pause=0.005)
    if time.monotonic() - start > HANG - 0.5:
        raise SystemExit("bench: the refresh has ended while answers were measured")
    before = provider.hits("/token")
    longer = agent.start_asking(agent.request(2 * LONG))
    until("oidc-agent refreshes its token", lambda: provider.hits("/token") > before)
    theirs = agent.ask(agent.request())[0][0]
    finish(longer)
    provider.knobs(delay_ms=0)
    table.add_limit(figure, 1000 * ours, 1000 * theirs, "ms", 5, " (oidc-agent)")


def cold(table, tokend, provider):
    """Many ask at once when no token is cached: logins at the provider. All get their answer, or the benchmark ends."""
    count = 50 if QUICK else 1000
    tokend.log_out()
    before = provider.hits("/device/auth")
    descriptors = lambda: len(os.listdir(f"/proc/{tokend.process.pid}/fd"))
    own = descriptors()
    asking = tokend.start_asking(CREDENTIAL % "true", clients=count)
    until(f"{count} clients wait", lambda: descriptors() >= own + count, 30)
    tokend.log_in()
    if len(finish(asking)) != count:
        raise SystemExit("bench: a cold request has no answer")
    logins = provider.hits("/device/auth") - before
    table.add_limit(f"{count:,} cold requests at once", logins, None, "login", 1, "all answered")


def tokens(stage, table):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    with Provider(f"{stage.folder}/idp") as provider:
        provider.knobs(id_ttl=LONG, access_ttl=LONG)
        agent, tokend = Agent(stage, provider), Tokend(stage, provider)
        tokend.log_in()
        answers(table, agent, tokend)
        refreshing(table, agent, tokend, provider)
        cold(table, tokend, provider)
        table.add_limit("PSS of the token daemon after all that", tokend.memory(), agent.memory(), "MB", 8, " (oidc-agent)")
