# SPDX-License-Identifier: Apache-2.0
"""A client's half of SSH that checks nothing and sends whatever it is told to: packets as RFC 4253 section 6 has them,
or not. One key exchange (curve25519-sha256), one cipher (aes128-ctr with hmac-sha2-256, where the length of a packet
is encrypted and under the MAC), login with a certificate. Nothing runs by itself: each answer is read by whoever
waits for it."""
import base64
import hashlib
import hmac
import os
import socket
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

# RFC 4253 section 12, RFC 4252 section 6, RFC 4254 section 9
DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, SERVICE_REQUEST, SERVICE_ACCEPT, EXT_INFO = 1, 2, 3, 4, 5, 6, 7
KEXINIT, NEWKEYS, ECDH_INIT, ECDH_REPLY = 20, 21, 30, 31
USERAUTH_REQUEST, USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER, USERAUTH_INFO_RESPONSE = 50, 51, 52, 53, 61
GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
CHANNEL_OPEN, OPEN_CONFIRMATION, OPEN_FAILURE, WINDOW_ADJUST = 90, 91, 92, 93
CHANNEL_DATA, CHANNEL_EXTENDED, CHANNEL_EOF, CHANNEL_CLOSE = 94, 95, 96, 97
CHANNEL_REQUEST, CHANNEL_SUCCESS, CHANNEL_FAILURE = 98, 99, 100
NAMES = {number: name for name, number in list(globals().items()) if name.isupper() and isinstance(number, int)}

KEX, HOST_KEY, CIPHER, MAC = b"curve25519-sha256", b"ssh-ed25519", b"aes128-ctr", b"hmac-sha2-256"


class Ended(Exception):
    """The server has ended the connection: with a word of its own, or without."""


def byte(number):
    return bytes([number])


def u32(number):
    return struct.pack(">I", number)


def string(data):
    data = data if isinstance(data, bytes) else data.encode()
    return u32(len(data)) + data


def mpint(data):
    data = data.lstrip(b"\0")
    return string(b"\0" + data if data and data[0] & 0x80 else data)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def string(self):
        return self.take(self.u32())


class Connection:
    """Connected, and nothing said yet. hello(), exchange_keys() and login() bring it further."""

    def __init__(self, host, port=22022, source=None):
        self.socket = socket.create_connection((host, port), 10, source and (source, 0))
        self.socket.settimeout(20)
        self.buffer = b""
        self.sent = self.received = 0  # packets
        self.encryptor = self.decryptor = None
        self.session_id = b""
        self.channels = 0
        self.has_service = False

    # ---- bytes and packets
    def raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Ended(f"closed ({type(error).__name__})") from None

    def read(self, count):
        while len(self.buffer) < count:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError as error:
                raise Ended(f"closed ({type(error).__name__})") from None
            if not data:
                raise Ended("closed")
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def send(self, payload, length=None, padding=None):
        """A packet. `length` and `padding` are lies about its length and the length of its padding."""
        block = 16 if self.encryptor else 8
        pad = block - (5 + len(payload)) % block
        pad += block if pad < 4 else 0
        packet = (u32(1 + len(payload) + pad if length is None else length) + byte(pad if padding is None else padding) +
                  payload + os.urandom(pad))
        if self.encryptor:
            tag = hmac.new(self.mac_out, u32(self.sent) + packet, hashlib.sha256).digest()
            packet = self.encryptor.update(packet) + tag
        self.sent += 1
        self.raw(packet)

    def receive(self):
        """The next payload that is worth a look; Ended with the server's reason when it was a disconnect."""
        while True:
            block = 16 if self.decryptor else 8
            first = self.read(block)
            if self.decryptor:
                first = self.decryptor.update(first)
            length = struct.unpack(">I", first[:4])[0]
            rest = self.read(length + 4 - block)
            if self.decryptor:
                rest = self.decryptor.update(rest)
                self.read(32)
            self.received += 1
            packet = first + rest
            payload = packet[5:4 + length - packet[4]]
            if payload[0] == DISCONNECT:
                reader = Reader(payload[1:])
                raise Ended(f"disconnect {reader.u32()} {reader.string().decode(errors='replace')}")
            if payload[0] not in (IGNORE, DEBUG, EXT_INFO, USERAUTH_BANNER):
                return payload

    def expect(self, *types):
        payload = self.receive()
        if payload[0] not in types:
            raise SystemExit(f"raw_ssh: {NAMES.get(payload[0], payload[0])} where only "
                             f"{', '.join(NAMES[t] for t in types)} may come")
        return payload

    # ---- identification and key exchange
    def hello(self, line=b"SSH-2.0-raw"):
        self.identification = line
        self.raw(line + b"\r\n")
        text = b""
        while not text.endswith(b"\n"):
            text += self.read(1)
        self.server_identification = text.strip()

    def kexinit(self, kex=KEX, first_follows=False):
        lists = [kex, HOST_KEY, CIPHER, CIPHER, MAC, MAC, b"none", b"none", b"", b""]
        return byte(KEXINIT) + os.urandom(16) + b"".join(map(string, lists)) + byte(first_follows) + u32(0)

    def start_exchange(self):
        self.our_kexinit = self.kexinit()
        self.send(self.our_kexinit)
        self.their_kexinit = self.expect(KEXINIT)

    def finish_exchange(self):
        private = X25519PrivateKey.generate()
        ours = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.send(byte(ECDH_INIT) + string(ours))
        reply = Reader(self.expect(ECDH_REPLY)[1:])
        host_key, theirs = reply.string(), reply.string()
        secret = mpint(private.exchange(X25519PublicKey.from_public_bytes(theirs)))
        digest = hashlib.sha256(b"".join(map(string, (
            self.identification, self.server_identification, self.our_kexinit, self.their_kexinit, host_key, ours,
            theirs))) + secret).digest()
        self.session_id = self.session_id or digest
        key = lambda letter, size: hashlib.sha256(secret + digest + letter + self.session_id).digest()[:size]
        self.send(byte(NEWKEYS))
        self.expect(NEWKEYS)
        self.encryptor = Cipher(algorithms.AES(key(b"C", 16)), modes.CTR(key(b"A", 16))).encryptor()
        self.decryptor = Cipher(algorithms.AES(key(b"D", 16)), modes.CTR(key(b"B", 16))).decryptor()
        self.mac_out = key(b"E", 32)

    def exchange_keys(self):
        self.start_exchange()
        self.finish_exchange()

    # ---- login
    def ask_service(self, name="ssh-userauth"):
        self.send(byte(SERVICE_REQUEST) + string(name))
        self.expect(SERVICE_ACCEPT)
        self.has_service = True

    def auth_request(self, user, key_file, service="ssh-connection", certificate=True):
        """The signed request, with the certificate beside key_file or the key alone."""
        with open(key_file, "rb") as text:
            key = load_ssh_private_key(text.read(), None)
        name = b"ssh-ed25519-cert-v01@openssh.com" if certificate else b"ssh-ed25519"
        with open(f"{key_file}-cert.pub" if certificate else f"{key_file}.pub", "rb") as text:
            blob = base64.b64decode(text.read().split()[1])
        request = (byte(USERAUTH_REQUEST) + string(user) + string(service) + string("publickey") + byte(1) +
                   string(name) + string(blob))
        signature = key.sign(string(self.session_id) + request)
        return request + string(string("ssh-ed25519") + string(signature))

    def login(self, user, key_file, **how):
        self.ask_service()
        self.send(self.auth_request(user, key_file, **how))
        self.expect(USERAUTH_SUCCESS)

    # ---- channels
    def open_request(self, kind="session", window=1 << 20, packet=1 << 15, more=b""):
        self.channels += 1
        return byte(CHANNEL_OPEN) + string(kind) + u32(self.channels) + u32(window) + u32(packet) + more

    def open(self, **how):
        """The server's number of a new session channel."""
        self.send(self.open_request(**how))
        return struct.unpack(">I", self.expect(OPEN_CONFIRMATION)[5:9])[0]

    def request(self, channel, kind, body=b"", reply=True):
        """A channel request; with a reply whether it was granted. What else comes meanwhile is passed over."""
        self.send(byte(CHANNEL_REQUEST) + u32(channel) + string(kind) + byte(reply) + body)
        while reply:
            payload = self.receive()
            if payload[0] in (CHANNEL_SUCCESS, CHANNEL_FAILURE):
                return payload[0] == CHANNEL_SUCCESS
        return None

    def output(self, until=None):
        """What a channel says until its end, or until `until` has come."""
        text = b""
        while until is None or until not in text:
            payload = self.receive()
            if payload[0] == CHANNEL_DATA:
                text += Reader(payload[5:]).string()
            elif payload[0] == CHANNEL_CLOSE:
                break
        return text

    def run(self, command):
        channel = self.open()
        if not self.request(channel, "exec", string(command)):
            return b"refused"
        self.send(byte(CHANNEL_EOF) + u32(channel))
        text = self.output()
        self.send(byte(CHANNEL_CLOSE) + u32(channel))
        return text
