#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""mint.py keys FOLDER | token FOLDER CHANGES | credential FOLDER NAME CHANGES

Makes tokens and certificates as an attacker, a broken provider or a wrong clock would: good ones, changed in one
point. Independent of the project's own code on purpose; formats: RFC 7515, OpenSSH's PROTOCOL.certkeys.
  keys        FOLDER/jwks.json and the private keys behind it: "ed" and "rsa"; "other" is in no key set
  token       prints a token
  credential  writes FOLDER/NAME (the subject key) and FOLDER/NAME-cert.pub
CHANGES is a JSON object:
  claims      merged into the payload (null removes); times are seconds from now when they are small
  header      merged into the header       alg, key  EdDSA and ed
  corrupt     true: a byte of the signature is another     length  the token is padded to this many bytes
  bound       false: a bearer token        binding   false: the certificate leaves the salt out
  peer, fingerprints, principals, critical (name to text), after, before (seconds from now)
  forged      true: signed with another user key than the one it names
  stolen      a certificate's file, as a hostile peer sees it: its token and its binding, signed by a key of the thief's
"""
import base64
import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

CERTIFICATE = b"ssh-ed25519-cert-v01@openssh.com"
PEM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def number(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def load(folder, name):
    with open(f"{folder}/{name}.pem", "rb") as pem:
        return serialization.load_pem_private_key(pem.read(), None)


def make_keys(folder):
    keys = {"ed": ed25519.Ed25519PrivateKey.generate(), "other": ed25519.Ed25519PrivateKey.generate(),
            "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
    for name, key in keys.items():
        with open(f"{folder}/{name}.pem", "wb") as out:
            out.write(key.private_bytes(*PEM))
    numbers = keys["rsa"].public_key().public_numbers()
    with open(f"{folder}/jwks.json", "w") as out:
        json.dump({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "alg": "EdDSA",
             "x": b64(keys["ed"].public_key().public_bytes(*RAW))},
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": b64(number(numbers.n)), "e": b64(number(numbers.e))}]}, out)


def sign_token(folder, alg, key, text):
    if alg == "none":
        return b""
    if alg.startswith("HS"):
        # the old trick: the public key, which everybody knows, as the secret
        public = load(folder, key).public_key()
        secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hmac.new(secret, text, hashlib.sha256).digest()
    if alg.startswith("RS"):
        return load(folder, key).sign(text, padding.PKCS1v15(), hashes.SHA256())
    return load(folder, key).sign(text)


def make_token(folder, changes, nonce=None):
    now = int(time.time())
    alg, key = changes.get("alg", "EdDSA"), changes.get("key", "ed")
    header = {"alg": alg, "kid": key, **changes.get("header", {})}
    claims = {"iss": "https://mint.invalid/", "aud": "qufabric", "sub": "ann", "iat": 0, "exp": 300, "nonce": nonce}
    claims.update(changes.get("claims", {}))
    for name in ("iat", "exp", "nbf"):
        if isinstance(claims.get(name), int) and abs(claims[name]) < 10**8:
            claims[name] += now
    claims = {name: value for name, value in claims.items() if value is not None}

    def compact(payload):
        text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(payload).encode())
        signature = sign_token(folder, alg, key, text.encode())
        if changes.get("corrupt"):
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        return text + "." + b64(signature)

    token = compact(claims)
    wanted = changes.get("length", 0)
    while wanted and len(token) < wanted:
        # base64 makes four bytes of three, so a length is approached and some cannot be met with one claim
        claims["pad"] = claims.get("pad", "") + "x" * max(1, (wanted - len(token)) * 3 // 4 - 12)
        token = compact(claims)
    if wanted and len(token) != wanted:
        header["k"] = ""
        while len(token) != wanted:
            claims["pad"] = claims["pad"][:-1] if len(token) > wanted else claims["pad"]
            header["k"] = header["k"] + "y" if len(token) < wanted or len(header["k"]) < 9 else ""
            token = compact(claims)
    return token


def stolen_extensions(path):
    with open(path) as file:
        rest = base64.b64decode(file.read().split()[1])

    def take(count):
        nonlocal rest
        taken, rest = rest[:count], rest[count:]
        return taken

    def take_string():
        return take(struct.unpack(">I", take(4))[0])

    for _ in ("type", "nonce", "subject key"):
        take_string()
    take(8 + 4)  # serial, kind
    take_string(), take_string()  # key id, principals
    take(8 + 8)  # validity
    take_string()  # critical options
    rest = take_string()
    extensions = {}
    while rest:
        name = take_string().decode()
        extensions[name] = take_string()
    return extensions


def make_credential(folder, name, changes):
    path = f"{folder}/{name}"
    for old in (path, f"{path}.pub", f"{path}-cert.pub"):
        if os.path.exists(old):
            os.remove(old)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
    with open(f"{path}.pub") as public:
        subject = base64.b64decode(public.read().split()[1])[-32:]
    user_key = ed25519.Ed25519PrivateKey.generate()
    blob = string("ssh-ed25519") + string(user_key.public_key().public_bytes(*RAW))
    salt = os.urandom(32)
    nonce = "qf1." + b64(hashlib.sha256(b"qufabric-key-binding-v1\0" + salt + blob).digest())
    token = make_token(folder, changes, nonce if changes.get("bound", True) else None)

    now = int(time.time())
    critical = {"peer@qufabric": string(changes["peer"]) + b"".join(string(f) for f in changes["fingerprints"])}
    critical.update({option: string(value) for option, value in changes.get("critical", {}).items()})
    extensions = {"jwt@qufabric": string(token)}
    if "stolen" in changes:
        extensions = stolen_extensions(changes["stolen"])
        if not changes.get("binding", True):
            del extensions["binding@qufabric"]
    elif changes.get("bound", True) and changes.get("binding", True):
        extensions["binding@qufabric"] = string(salt) + string("")
    pairs = lambda options: b"".join(string(o) + string(options[o]) for o in sorted(options))
    body = (string(CERTIFICATE) + string(os.urandom(32)) + string(subject) + struct.pack(">QI", 7, 1)
            + string("mint ann") + string(b"".join(string(p) for p in changes.get("principals", [])))
            + struct.pack(">QQ", now + changes.get("after", -60), now + changes.get("before", 240))
            + string(pairs(critical)) + string(pairs(extensions)) + string("") + string(blob))
    signer = ed25519.Ed25519PrivateKey.generate() if changes.get("forged") else user_key
    body += string(string("ssh-ed25519") + string(signer.sign(body)))
    with open(f"{path}-cert.pub", "w") as out:
        out.write(f"{CERTIFICATE.decode()} {base64.b64encode(body).decode()} {name}\n")


def main():
    what, folder = sys.argv[1], sys.argv[2]
    if what == "keys":
        make_keys(folder)
    elif what == "token":
        print(make_token(folder, json.loads(sys.argv[3])))
    else:
        make_credential(folder, sys.argv[3], json.loads(sys.argv[4]))


main()
