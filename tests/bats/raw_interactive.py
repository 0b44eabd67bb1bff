#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""raw_interactive.py HOST USER [hostile]: breaks the rules of keyboard-interactive (RFC 4256) in a login that the server makes
with the provider, each on a connection of its own. Prints a line for each: what became of it."""
import sys

from raw_ssh import (SERVICE_REQUEST, USERAUTH_FAILURE, USERAUTH_INFO_RESPONSE, USERAUTH_REQUEST, Connection, Ended, byte, string, u32)

INFO_REQUEST = 60
host, user = sys.argv[1:3]


def begin(c, who):
    c.send(byte(USERAUTH_REQUEST) + string(who) + string("ssh-connection") + string("keyboard-interactive") + string("") +
           string(""))


def answer(c, *texts):
    c.send(byte(USERAUTH_INFO_RESPONSE) + u32(len(texts)) + b"".join(map(string, texts)))


def another_number_of_answers(c):
    answer(c, "", "")
    c.expect(USERAUTH_FAILURE)
    # the question is over with that
    answer(c, "")
    c.receive()


def long_answer(c):
    answer(c, "x" * 30000)
    c.expect(USERAUTH_FAILURE)
    begin(c, user)
    c.expect(INFO_REQUEST)
    raise Ended("asked again")


def another_user(c):
    begin(c, "root")
    c.receive()


def answered_twice(c):
    answer(c, "")
    answer(c, "")
    c.receive()


def request_while_waited_for(c):
    answer(c, "")
    begin(c, user)
    c.receive()


def no_answer(c):
    answer(c)
    c.expect(USERAUTH_FAILURE)
    begin(c, user)
    c.expect(INFO_REQUEST)
    raise Ended("asked again")


def hundred_answers(c):
    answer(c, *["x"] * 100)
    c.expect(USERAUTH_FAILURE)
    begin(c, user)
    c.expect(INFO_REQUEST)
    raise Ended("asked again")


def more_answers_than_the_library_takes(c):
    answer(c, *["x"] * 300)
    c.receive()


def answers_announced_and_left_out(c):
    c.send(byte(USERAUTH_INFO_RESPONSE) + u32(1))
    c.receive()


def four_billion_answers(c):
    c.send(byte(USERAUTH_INFO_RESPONSE) + u32(0xFFFFFFFF) + string("x"))
    c.receive()


def answer_longer_than_it_is(c):
    c.send(byte(USERAUTH_INFO_RESPONSE) + u32(1) + u32(0xFFFFFFF0) + b"x")
    c.receive()


def nothing_at_all(c):
    c.send(byte(USERAUTH_INFO_RESPONSE))
    c.receive()


def answer_of_250_kib(c):
    answer(c, "x" * 250 * 1024)
    c.expect(USERAUTH_FAILURE)
    begin(c, user)
    c.expect(INFO_REQUEST)
    raise Ended("asked again")


def answer_of_more_than_a_packet(c):
    answer(c, "x" * 257 * 1024)
    c.receive()


def huge_tags(c):
    c.send(byte(USERAUTH_REQUEST) + string(user) + string("ssh-connection") + string("keyboard-interactive") +
           string("x" * 100_000) + string("y," * 50_000))
    c.expect(INFO_REQUEST)
    raise Ended("asked again")


def other_method(c):
    c.send(byte(USERAUTH_REQUEST) + string(user) + string("ssh-connection") + string("password") + byte(0) + string("x"))
    c.expect(USERAUTH_FAILURE)
    answer(c, "")
    c.receive()


def other_method_of_another_user(c):
    c.send(byte(USERAUTH_REQUEST) + string("root") + string("ssh-connection") + string("none"))
    c.expect(USERAUTH_FAILURE)
    answer(c, "")
    c.receive()


def other_service(c):
    c.send(byte(SERVICE_REQUEST) + string("ssh-connection"))
    c.receive()


def same_service_again(c):
    c.has_service = False
    c.ask_service()
    answer(c, "")
    begin(c, user)
    c.receive()


def methods_by_turns(c):
    for _ in range(200):
        c.send(byte(USERAUTH_REQUEST) + string(user) + string("ssh-connection") + string("publickey") + byte(0) +
               string("ssh-ed25519") + string(string("ssh-ed25519") + string(b"k" * 32)))
        c.expect(USERAUTH_FAILURE)
        begin(c, user)
        c.expect(INFO_REQUEST)


BROKEN = (another_number_of_answers, long_answer, another_user, answered_twice, request_while_waited_for)
HOSTILE = (no_answer, hundred_answers, more_answers_than_the_library_takes, answers_announced_and_left_out, four_billion_answers,
           answer_longer_than_it_is, nothing_at_all, answer_of_250_kib, answer_of_more_than_a_packet, huge_tags, other_method,
           other_method_of_another_user, other_service, same_service_again, methods_by_turns)
for attack in HOSTILE if sys.argv[3:] == ["hostile"] else BROKEN:
    connection = Connection(host)
    try:
        connection.hello()
        connection.exchange_keys()
        connection.ask_service()
        begin(connection, user)
        connection.expect(INFO_REQUEST)
        attack(connection)
        print(attack.__name__, "went on")
    except TimeoutError:
        print(attack.__name__, "no answer")
    except Ended as end:
        print(attack.__name__, end)
    connection.socket.close()
