# SPDX-License-Identifier: Apache-2.0
"""The stage of the benchmark: one ordinary user, OpenSSH's sshd and qf-sshd side by side on loopback, and a fabric
whose identity provider is the machine issuer. Everything that it makes goes with close(): processes by pid, the
user, the folder.

sshd runs with the configuration that Debian ships (/usr/share/openssh/sshd_config: PAM on) and only these lines in
front of it: port and address, a host key of its own, no pid file, the key exchange, the ciphers of the client, and a
MaxStartups that lets the fifty idle connections in. Its client logs in with an Ed25519 key; GSSAPI is off for both.
"""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

THROW_AWAY_USER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conf/throw-away-user")
SSHD_SHIPPED = "/usr/share/openssh/sshd_config"
KEX = "curve25519-sha256"
CIPHER = "aes128-gcm@openssh.com"
LIGHT_CIPHER = "aes128-ctr"  # of the client that keeps a thousand connections (tests/bats/raw_ssh.py)
FABRIC_PORT = 22022
TABLET = "127.0.0.2"  # a second peer of the user's
CABLES = {"far": 50, "distant": 200}  # instances of the client's whose peer is that many ms of round trip away
FAR_SSHD_PORT = 2222  # of sshd behind those cables


def until(what, condition, seconds=10):
    """Polls; a stage that does not come up ends the benchmark."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise SystemExit(f"bench: {what} within {seconds} s: no")


def answers(address, port):
    """Whether an SSH server sends its identification line there."""
    try:
        with socket.create_connection((address, port), 1) as s:
            s.settimeout(2)
            return s.recv(4) == b"SSH-"
    except OSError:
        return False


def servers(stage, run):
    """What is run, by turns: our server alone, our server with all of ours on the client, and sshd."""
    def alone():
        stage.renew()
        return run("server-alone")

    return alone, lambda: run("server"), lambda: run("sshd")


class Stage:
    def __init__(self, bin_folder, here):
        self.bin, self.here = bin_folder, here
        self.folder = tempfile.mkdtemp(prefix="qf-bench.")
        self.children = []
        self.user = f"qfb{os.getpid()}"
        pid = os.getpid()
        address = lambda part: f"127.{part + (pid >> 16 & 15)}.{pid >> 8 & 255}.{pid & 255}"
        self.address = address(1)
        self.addresses = {"near": self.address, "far": address(17), "distant": address(33)}
        self.sshd_port = 22

    def __enter__(self):
        try:
            self.make_user()
            self.start_sshd()
            self.start_fabric()
            self.write_client_config()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the user, whose shell is /bin/sh: a login shell's start-up files would be measured otherwise
    def make_user(self):
        os.chmod(self.folder, 0o755)
        self.home = f"{self.folder}/home"
        # no password, and not locked: sshd would refuse that
        subprocess.run([THROW_AWAY_USER, self.user, "--home-dir", self.home, "--password", "*"], check=True)
        entry = pwd.getpwnam(self.user)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        self.env = {"HOME": self.home, "USER": self.user, "LOGNAME": self.user, "SHELL": "/bin/sh",
                    "PATH": "/usr/local/bin:/usr/bin:/bin"}
        ssh = f"{self.home}/.ssh"
        self.run_user(["mkdir", "-m", "700", ssh])
        self.run_user(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{ssh}/id_ed25519"])
        self.run_user(["cp", f"{ssh}/id_ed25519.pub", f"{ssh}/authorized_keys"])

    def as_user(self):
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "env": self.env, "cwd": self.home}

    def run_user(self, command):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **self.as_user())

    # ---- processes
    def start(self, command, log, **options):
        with open(f"{self.folder}/{log}", "ab") as out:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)
        self.children.append(child)
        return child

    def show_log(self, log):
        with open(f"{self.folder}/{log}", errors="replace") as lines:
            sys.stderr.write("".join(f"  {log}: {line}" for line in list(lines)[-20:]))

    # ---- the server to compare with
    def start_sshd(self):
        key = f"{self.folder}/sshd_host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        pam = os.environ.get("BENCH_PAM")
        with open(SSHD_SHIPPED) as shipped:
            # its Include would bring this machine's own settings in
            rest = "".join(line for line in shipped if not line.startswith("Include"))
        with open(f"{self.folder}/sshd_config", "w") as out:
            out.write(f"Port {self.sshd_port}\nListenAddress {self.address}\nHostKey {key}\nPidFile none\n"
                      f"KexAlgorithms {KEX}\nCiphers {CIPHER},{LIGHT_CIPHER}\nMaxStartups 200\n")
            if pam:
                out.write(f"UsePAM {pam}\n")
            out.write(rest)
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.sshd = self.start(["/usr/sbin/sshd", "-D", "-e", "-f", f"{self.folder}/sshd_config"], "sshd.log")
        try:
            until("sshd answers", lambda: answers(self.address, self.sshd_port))
        except SystemExit:
            self.show_log("sshd.log")
            raise

    # ---- the fabric: one document for the server, and for each instance of the client's that lies behind a long cable
    # one in which the peer has the address of that cable's end
    def folders(self, instance):
        base = f"{self.folder}/{instance}"
        return ["--config-dir", f"{base}/config", "--state-dir", f"{base}/state", "--runtime-dir", f"{base}/run"]

    def make_folders(self, instance, owner):
        base = f"{self.folder}/{instance}"
        os.mkdir(base, 0o755)
        for name, mode in (("config", 0o755), ("state", 0o755), ("run", 0o700)):
            os.mkdir(f"{base}/{name}", mode)
            os.chown(f"{base}/{name}", owner, -1)
        os.chown(base, owner, -1)

    def document(self, server_address, key_set, host_key):
        return {
            "format": 1, "serial": 1, "domain": "bench.example",
            "issuers": [{"name": "machine", "issuer": "urn:qufabric:bench", "audiences": ["qufabric"], "jwks": key_set,
                         "max_token_age": 3600, "members": "listed",
                         "client": {"client_id": "qufabric", "flow": "machine"}}],
            "user_groups": {"people": [f"machine:{self.user}"]},
            "peers": [
                {"name": "server", "addresses": [server_address], "ssh": True, "version": "0.61.0",
                 "ssh_host_keys": [host_key]},
                {"name": "client", "addresses": ["127.0.0.1"], "ssh": False, "version": "0.61.0", "ssh_host_keys": []},
                {"name": "tablet", "addresses": [TABLET], "ssh": False, "version": "0.61.0", "ssh_host_keys": []}],
            "policies": [{"name": "all", "enabled": True, "action": "allow", "protocol": "qufabric-ssh",
                          "sources": ["client", "tablet"], "destinations": ["server"], "access": "full",
                          "authorized_groups": {"people": []}}],
        }

    def write_document(self, instance, document):
        with open(f"{self.folder}/{instance}/config/fabric.json", "w") as out:
            json.dump(document, out)

    def start_fabric(self):
        program = lambda name: f"{self.bin}/{name}"
        self.make_folders("server", 0)
        for instance in self.addresses:
            self.make_folders(instance, self.uid)
        host_key = subprocess.run([program("qf-up"), "host-key", *self.folders("server")], check=True,
                                  capture_output=True, text=True).stdout.strip()
        for instance in self.addresses:
            issuer = ["--machine-issuer", "--issuer", "urn:qufabric:bench", *self.folders(instance)]
            if instance in CABLES:
                # one issuer for all: another instance's own key would not be in the document
                for name in os.listdir(f"{self.folder}/near/state"):
                    copy = f"{self.folder}/{instance}/state/{name}"
                    shutil.copy2(f"{self.folder}/near/state/{name}", copy)
                    os.chown(copy, self.uid, self.gid)
            key_set = subprocess.run([program("qf-tokend"), *issuer, "--print-jwks"], check=True, capture_output=True,
                                     text=True, **self.as_user()).stdout
            self.start([program("qf-tokend"), *issuer, "--foreground"], "issuer.log", **self.as_user())
        key_set = json.loads(key_set)
        for instance, address in {"server": self.address, **self.addresses}.items():
            self.write_document(instance, self.document(address, key_set, host_key))
        self.qf_up = self.start([program("qf-up"), "--self", "server", *self.folders("server"), "--allow-server-ssh",
                                 "--enable-ssh-sftp", "--enable-ssh-local-port-forwarding",
                                 "--enable-ssh-remote-port-forwarding",
                                 # a thousand idle clients of one address
                                 "--max-connections", "1100", "--per-source-max-connections", "1100"], "qf-up.log")
        for instance in self.addresses:
            applied = subprocess.run([program("qf-up"), "apply", "--self", "client", "--ssh-jwt-cache-ttl", "3600",
                                      *self.folders(instance)], capture_output=True, text=True, **self.as_user())
            if applied.returncode != 0:
                raise SystemExit(f"bench: qf-up apply: {applied.stderr}")
        try:
            until("qf-sshd answers", lambda: answers(self.address, FABRIC_PORT))
        except SystemExit:
            self.show_log("qf-up.log")
            raise
        for instance, round_trip in CABLES.items():
            for end, port in ((FABRIC_PORT, FABRIC_PORT), (FAR_SSHD_PORT, self.sshd_port)):
                self.start([sys.executable, f"{self.here}/delay_proxy.py", self.addresses[instance], str(end),
                            self.address, str(port), str(round_trip)], "delay.log")
            until("the long cable answers", lambda: answers(self.addresses[instance], FAR_SSHD_PORT))

    def write_client_config(self):
        known = f"{self.home}/.ssh/sshd_known_hosts"
        with open(f"{self.folder}/sshd_host_key.pub") as key, open(known, "w") as out:
            out.write("sshd " + key.read())
        sshd = (f"  HostKeyAlias sshd\n  UserKnownHostsFile {known}\n  StrictHostKeyChecking yes\n"
                f"  IdentityFile {self.home}/.ssh/id_ed25519\n  IdentitiesOnly yes\n")
        # our server with nothing of ours on the client but the credential: where the servers are compared
        ours = f"{self.folder}/near"
        alone = (f"Host server-alone\n  Hostname {self.address}\n  Port {FABRIC_PORT}\n  HostKeyAlias [server]:{FABRIC_PORT}\n"
                 f"  UserKnownHostsFile {ours}/state/known_hosts\n  StrictHostKeyChecking yes\n  IdentitiesOnly yes\n"
                 f"  IdentityFile {ours}/run/ssh/subject\n  CertificateFile {ours}/run/ssh/server-cert.pub\n")
        common = f"Host *\n  KexAlgorithms {KEX}\n  Ciphers {CIPHER}\n  GSSAPIAuthentication no\n  BatchMode yes\n"
        for instance, address in self.addresses.items():
            port = FAR_SSHD_PORT if instance in CABLES else self.sshd_port
            with open(f"{self.folder}/{instance}/ssh_config", "w") as out:
                out.write(f"Include {self.folder}/{instance}/state/99-qufabric.conf\n"
                          f"Host sshd\n  Hostname {address}\n  Port {port}\n{sshd}"
                          # the same server once more, behind itself
                          f"Host sshd2\n  Hostname {address}\n  Port {port}\n  ProxyJump sshd\n{sshd}{alone}{common}")

    def ssh(self, instance, *rest, tunnel=False):
        """An ssh of the user: its command line and the options of subprocess."""
        options = self.as_user()
        if tunnel:
            options["env"] = {**self.env, "QF_SSH": "tunnel"}
        return ["ssh", "-F", f"{self.folder}/{instance}/ssh_config", *rest], options

    def renew(self):
        """The credential that server-alone uses, good for the next minutes."""
        self.run_user(self.ssh("near", "server", "true")[0])

    # ---- the end
    def close(self):
        # timeout(1) sends its signal twice, to the process and to its group
        for name in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        # daemons that the user's ssh has started
        uid = getattr(self, "uid", None)
        for name in os.listdir("/proc") if uid else ():
            try:
                if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                    os.kill(int(name), signal.SIGKILL)
            except OSError:
                pass
        if uid:
            subprocess.run([THROW_AWAY_USER, "--remove", self.user], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
