# SPDX-License-Identifier: Apache-2.0
"""Cases of raw_client.py in which nobody is logged in: hello_, plain_ and keys_."""
import os
import struct

from raw_common import *  # noqa: F403


# ---- nothing said yet
def hello_no_identification(c):
    c.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    c.read(1 << 20)


def hello_endless_line(c):
    for _ in range(64):
        c.raw(b"x" * 4096)
    c.read(1 << 20)


def hello_version_1(c):
    c.hello(b"SSH-1.5-raw")
    c.receive()


# ---- identified, no keys yet
def plain_kexinit_truncated(c):
    c.send(c.kexinit()[:40])


def plain_kexinit_list_beyond_packet(c):
    c.send(byte(KEXINIT) + bytes(16) + u32(0x7fffffff) + b"curve25519-sha256")


def plain_kexinit_of_noise(c):
    c.send(byte(KEXINIT) + os.urandom(2000))


def plain_kexinit_nothing_in_common(c):
    c.send(c.kexinit(kex=b"diffie-hellman-group1-sha1"))


def plain_length_0(c):
    c.send(b"", length=0)


def plain_length_1(c):
    c.raw(u32(1) + bytes(12))


def plain_length_huge(c):
    c.send(b"x", length=0x7fffffff)


def plain_length_all_ones(c):
    c.send(b"x", length=0xffffffff)


def plain_length_no_multiple_of_block(c):
    c.raw(u32(13) + byte(4) + byte(IGNORE) + bytes(11))


def plain_padding_longer_than_packet(c):
    c.send(c.kexinit(), padding=255, length=20)


def plain_newkeys_without_exchange(c):
    c.send(byte(NEWKEYS))


def plain_exchange_without_kexinit(c):
    c.send(byte(ECDH_INIT) + string(os.urandom(32)))


def plain_public_key_short(c):
    c.start_exchange()
    c.send(byte(ECDH_INIT) + string(b"short"))


def plain_public_key_all_zero(c):
    """A point of small order: RFC 8731 section 3 wants the exchange ended."""
    c.start_exchange()
    c.send(byte(ECDH_INIT) + string(bytes(32)))


def plain_service_request_early(c):
    c.start_exchange()
    c.send(byte(SERVICE_REQUEST) + string("ssh-userauth"))


def plain_auth_request_early(c):
    c.start_exchange()
    c.send(byte(USERAUTH_REQUEST) + string(USER) + string("ssh-connection") + string("none"))


def plain_channel_open_early(c):
    c.start_exchange()
    c.send(c.open_request())


def plain_disconnect_mid_exchange(c):
    c.start_exchange()
    c.send(byte(DISCONNECT) + u32(11) + string("changed my mind") + string(""))


def plain_end_mid_exchange(c):
    c.start_exchange()
    c.socket.shutdown(socket.SHUT_WR)


def plain_kexinit_twice(c):
    c.start_exchange()
    c.send(c.kexinit())


# ---- keys exchanged
def keys_service_unknown(c):
    c.send(byte(SERVICE_REQUEST) + string("ssh-teapot"))
    refuse(c)


def keys_service_connection(c):
    """ssh-connection, which nobody may have who is not logged in."""
    c.send(byte(SERVICE_REQUEST) + string("ssh-connection"))
    refuse(c)


def keys_auth_without_service(c):
    c.send(c.auth_request(USER, KEY))
    refuse(c)


def keys_channel_open(c):
    c.ask_service()
    c.send(c.open_request())
    refuse(c)


def keys_global_request(c):
    c.ask_service()
    c.send(byte(GLOBAL_REQUEST) + string("tcpip-forward") + byte(1) + string("127.0.0.1") + u32(0))
    refuse(c)


def keys_channel_request(c):
    c.ask_service()
    c.send(byte(CHANNEL_REQUEST) + u32(0) + string("exec") + byte(1) + string("id > stolen"))
    refuse(c)


def keys_auth_success(c):
    """What only a server says."""
    c.ask_service()
    c.send(byte(USERAUTH_SUCCESS))
    c.send(c.open_request())
    refuse(c)


def keys_info_response(c):
    """An answer to a question that nobody has asked."""
    c.ask_service()
    c.send(byte(USERAUTH_INFO_RESPONSE) + u32(1) + string("secret"))


def keys_unknown_message(c):
    c.send(byte(192))
    unimplemented(c)


def keys_length_0(c):
    c.send(b"", length=0)


def keys_length_huge(c):
    c.send(byte(IGNORE) + string(b""), length=0x10000000)


def keys_padding_longer_than_packet(c):
    c.send(byte(IGNORE) + string(b""), padding=255)


def keys_mac_wrong(c):
    c.mac_out = bytes(32)
    c.send(byte(SERVICE_REQUEST) + string("ssh-userauth"))


def keys_auth_truncated(c):
    c.ask_service()
    c.send(c.auth_request(USER, KEY)[:60])
    refuse(c)


def keys_auth_string_beyond_packet(c):
    c.ask_service()
    c.send(byte(USERAUTH_REQUEST) + u32(0xfffffff0) + b"user")
    refuse(c)


def keys_auth_service_unknown(c):
    """RFC 4252 section 5: the server may disconnect, and must not say yes."""
    c.ask_service()
    c.send(c.auth_request(USER, KEY, service="ssh-teapot"))
    refuse(c)


def keys_auth_method_unknown(c):
    c.ask_service()
    c.send(byte(USERAUTH_REQUEST) + string(USER) + string("ssh-connection") + string("teapot"))
    refuse(c)


def keys_user_of_64_kib(c):
    c.ask_service()
    c.send(byte(USERAUTH_REQUEST) + string(b"u" * 65536) + string("ssh-connection") + string("none"))
    refuse(c)


def keys_user_with_nul(c):
    """A user name that C would read as USER."""
    c.ask_service()
    c.send(c.auth_request(USER + "\0x", KEY))
    refuse(c)


def keys_signature_of_other_session(c):
    c.ask_service()
    c.session_id, kept = os.urandom(32), c.session_id
    request = c.auth_request(USER, KEY)
    c.session_id = kept
    c.send(request)
    refuse(c)
