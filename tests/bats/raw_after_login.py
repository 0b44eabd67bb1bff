# SPDX-License-Identifier: Apache-2.0
"""Cases of raw_client.py in which TARGET is logged in: login_ and session_."""
import os
import struct

from raw_common import *  # noqa: F403


# ---- logged in
def login_auth_again(c):
    """RFC 4252 section 5.1: silently ignored."""
    c.send(byte(USERAUTH_REQUEST) + string("root") + string("ssh-connection") + string("none"))


def login_service_again(c):
    c.send(byte(SERVICE_REQUEST) + string("ssh-userauth"))
    alive(c)


def login_unknown_message(c):
    c.send(byte(192) + b"what is this")
    unimplemented(c)


def login_unknown_messages_of_all_ranges(c):
    for number in (8, 19, 79, 83, 101, 127, 128, 191, 255):
        c.send(byte(number))
        unimplemented(c)


def login_empty_payload(c):
    c.send(b"")


def login_ignore_and_debug(c):
    c.send(byte(IGNORE) + string(os.urandom(5000)))
    c.send(byte(DEBUG) + byte(1) + string("hello") + string(""))


def login_ignore_truncated(c):
    c.send(byte(IGNORE) + u32(1 << 31) + b"short")


def login_global_unknown(c):
    c.send(byte(GLOBAL_REQUEST) + string("teapot@test.example") + byte(1))
    c.expect(REQUEST_FAILURE)
    say("refused")


def login_global_unknown_no_reply(c):
    """Nothing may come back: the next answer is the channel's."""
    c.send(byte(GLOBAL_REQUEST) + string("teapot@test.example") + byte(0))
    c.open()
    say("no answer")


def login_global_truncated(c):
    c.send(byte(GLOBAL_REQUEST) + u32(100) + b"tcpip")


def login_forward_refused(c):
    c.send(byte(GLOBAL_REQUEST) + string("tcpip-forward") + byte(1) + string("127.0.0.1") + u32(0))
    c.expect(REQUEST_FAILURE)
    say("refused")


def login_open_unknown_type(c):
    c.send(c.open_request("teapot"))
    failure = Reader(c.expect(OPEN_FAILURE)[1:])
    say(f"channel {failure.u32()} refused: {failure.u32()}")


def login_open_truncated(c):
    c.send(c.open_request()[:14])


def login_open_direct_truncated(c):
    c.send(c.open_request("direct-tcpip", more=string("127.0.0.1")))
    refuse(c, OPEN_FAILURE)


def login_open_packet_size_0(c):
    """Nothing can be sent on such a channel. libssh drops the request without an answer."""
    c.send(c.open_request(packet=0))


def login_open_1000(c):
    """Then one of those that stand is closed, and makes room for one more."""
    standing, refused = [], 0
    for _ in range(1000):
        c.send(c.open_request())
        answer = c.expect(OPEN_CONFIRMATION, OPEN_FAILURE)
        if answer[0] == OPEN_CONFIRMATION:
            standing.append(answer[5:9])
        else:
            refused += 1
    say(f"{len(standing)} open, {refused} refused")
    c.send(byte(CHANNEL_CLOSE) + standing[0])
    while c.receive()[0] != CHANNEL_CLOSE:
        pass


def login_confirmation_unasked(c):
    c.send(byte(OPEN_CONFIRMATION) + u32(7) + u32(7) + u32(1 << 20) + u32(1 << 15))


def login_open_failure_unasked(c):
    c.send(byte(OPEN_FAILURE) + u32(7) + u32(1) + string("no") + string(""))


def login_answers_unasked(c):
    """Answers to requests that the server has not made."""
    for payload in (byte(REQUEST_SUCCESS), byte(REQUEST_FAILURE), byte(CHANNEL_SUCCESS) + u32(7),
                    byte(CHANNEL_FAILURE) + u32(7)):
        c.send(payload)


def login_server_messages(c):
    for payload in (byte(USERAUTH_SUCCESS), byte(USERAUTH_FAILURE) + string("none") + byte(0),
                    byte(SERVICE_ACCEPT) + string("ssh-userauth"), byte(USERAUTH_BANNER) + string("b") + string("")):
        c.send(payload)


def no_such_channel(kind):
    bodies = {"data": byte(CHANNEL_DATA) + u32(77) + string("x" * 1000),
              "extended": byte(CHANNEL_EXTENDED) + u32(77) + u32(1) + string("x"),
              "window": byte(WINDOW_ADJUST) + u32(77) + u32(1000),
              "eof": byte(CHANNEL_EOF) + u32(77), "close": byte(CHANNEL_CLOSE) + u32(77),
              "request": byte(CHANNEL_REQUEST) + u32(77) + string("exec") + byte(0) + string("id > stolen")}
    return lambda c: c.send(bodies[kind])


for name in ("data", "extended", "window", "eof", "close", "request"):
    globals()[f"login_{name}_on_no_channel"] = no_such_channel(name)


def login_newkeys_unasked(c):
    c.send(byte(NEWKEYS))


def login_exchange_unasked(c):
    c.send(byte(ECDH_INIT) + string(os.urandom(32)))


def login_kexinit_of_noise(c):
    c.send(byte(KEXINIT) + os.urandom(500))


def login_data_while_rekeying(c):
    """RFC 4253 section 7.1: between KEXINIT and NEWKEYS nothing of the connection protocol may be sent."""
    channel = c.open()
    c.send(c.kexinit())
    c.send(byte(CHANNEL_REQUEST) + u32(channel) + string("exec") + byte(0) + string("id > stolen"))


def login_rekey(c):
    """Not wrong at all: the cases above can go on."""
    c.exchange_keys()


def login_mac_wrong(c):
    c.mac_out = bytes(32)
    c.send(byte(IGNORE) + string(""))


def login_length_huge(c):
    c.send(byte(IGNORE) + string(""), length=0x7fffffff)


def login_disconnect(c):
    c.send(byte(DISCONNECT) + u32(11) + string("bye") + string(""))


def login_disconnect_truncated(c):
    c.send(byte(DISCONNECT) + u32(11) + u32(1 << 30))


def login_env_flood(c):
    channel = c.open()
    granted = sum(c.request(channel, "env", string(f"LC_{i}") + string("x" * 1000)) for i in range(1000))
    say(f"{granted} granted")
    c.request(channel, "exec", string("env | grep -c ^LC_"))
    say(f"{c.output().decode().strip()} arrived")


def login_env_forbidden(c):
    channel = c.open()
    for name in ("LD_PRELOAD", "PATH", "", "LC_A=B", "LC_\0X", "L" * 70000):
        say(f"{name[:12]!r} {c.request(channel, 'env', string(name) + string('/evil'))}")
    c.request(channel, "exec", string("env"))
    say("/evil arrived" if b"/evil" in c.output() else "nothing arrived")


def login_exec_with_nul(c):
    channel = c.open()
    granted = c.request(channel, "exec", string(b"id > not-whole; \0id > stolen"))
    say("granted" if granted else "refused")


def login_exec_string_beyond_packet(c):
    channel = c.open()
    c.send(byte(CHANNEL_REQUEST) + u32(channel) + string("exec") + byte(1) + u32(0xffffffff) + b"id > stolen")
    refuse(c, CHANNEL_FAILURE)


def login_exec_truncated(c):
    channel = c.open()
    c.send(byte(CHANNEL_REQUEST) + u32(channel) + string("exec") + byte(1))
    refuse(c, CHANNEL_FAILURE)


def login_exec_of_200_kb(c):
    channel = c.open()
    say("granted" if c.request(channel, "exec", string(b": " + b"x" * 200000)) else "refused")


def login_request_unknown(c):
    channel = c.open()
    say("granted" if c.request(channel, "teapot@test.example", os.urandom(100)) else "refused")


def login_subsystem_unknown(c):
    channel = c.open()
    c.request(channel, "subsystem", string("teapot"))


def login_window_change_without_terminal(c):
    channel = c.open()
    c.request(channel, "window-change", u32(80) * 4, reply=False)


def login_terminal_of_noise(c):
    """Terminal modes end where they say that they go on."""
    channel = c.open()
    body = string("vt100") + u32(0xffffffff) * 4 + string(os.urandom(50))
    c.request(channel, "pty-req", body)
    c.request(channel, "exec", string("stty size"))
    c.output()


def login_terminal_name_with_control(c):
    channel = c.open()
    body = string("vt100\x1b]0;x") + u32(80) * 4 + string("")
    say("granted" if c.request(channel, "pty-req", body) else "refused")


# ---- a session runs: `cat` on the channel c.cat
def session_second_exec(c):
    say("granted" if c.request(c.cat, "exec", string("id > stolen")) else "refused")
    echo(c)


def session_second_shell(c):
    say("granted" if c.request(c.cat, "shell") else "refused")
    echo(c)


def session_terminal_late(c):
    say("granted" if c.request(c.cat, "pty-req", string("vt100") + u32(80) * 4 + string("")) else "refused")
    echo(c)


def session_env_late(c):
    say("granted" if c.request(c.cat, "env", string("LC_ALL") + string("C")) else "refused")
    echo(c)


def session_window_overflow(c):
    """RFC 4254 section 5.2: a window of more than 2^32 - 1 bytes is an error."""
    c.send(byte(WINDOW_ADJUST) + u32(c.cat) + u32(0xffffffff))
    c.send(byte(WINDOW_ADJUST) + u32(c.cat) + u32(0xffffffff))


def session_data_beyond_window(c):
    """The server's window is far smaller than what comes here, and the command reads nothing of it."""
    deaf = c.open()
    c.request(deaf, "exec", string("while sleep 0.2; do echo; done"))
    for _ in range(1024):
        c.send(byte(CHANNEL_DATA) + u32(deaf) + string(bytes(32768)))


def session_data_longer_than_said(c):
    c.send(byte(CHANNEL_DATA) + u32(c.cat) + u32(0xffff) + b"short")


def session_data_after_eof(c):
    c.send(byte(CHANNEL_EOF) + u32(c.cat))
    c.send(byte(CHANNEL_DATA) + u32(c.cat) + string("late"))
    say("late data arrived" if b"late" in c.output() else "nothing arrived")


def session_extended_data(c):
    """Only a server has a stderr."""
    c.send(byte(CHANNEL_EXTENDED) + u32(c.cat) + u32(1) + string("what"))
    c.send(byte(CHANNEL_EXTENDED) + u32(c.cat) + u32(99) + string("what"))
    echo(c)


def session_eof_twice(c):
    c.send((byte(CHANNEL_EOF) + u32(c.cat)))
    c.send((byte(CHANNEL_EOF) + u32(c.cat)))
    c.output()


def session_close_twice(c):
    c.send(byte(CHANNEL_CLOSE) + u32(c.cat))
    c.send(byte(CHANNEL_CLOSE) + u32(c.cat))
    c.output()


def session_after_close(c):
    c.send(byte(CHANNEL_CLOSE) + u32(c.cat))
    c.send(byte(CHANNEL_EOF) + u32(c.cat))
    c.send(byte(CHANNEL_DATA) + u32(c.cat) + string("late"))
    c.request(c.cat, "exec", string("id > stolen"), reply=False)
    c.output()


def session_signal_unknown(c):
    c.request(c.cat, "signal", string("TEAPOT"), reply=False)
    c.request(c.cat, "signal", string("X" * 60000), reply=False)
    echo(c)


def session_exit_status(c):
    """What only a server says."""
    c.request(c.cat, "exit-status", u32(0), reply=False)
    c.request(c.cat, "exit-signal", string("TERM") + byte(0) + string("") + string(""), reply=False)
    echo(c)
