#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""raw_interactive.py HOST USER: breaks the rules of keyboard-interactive (RFC 4256) in a login that the server makes
with the provider, each on a connection of its own. Prints a line for each: what became of it."""
import sys

from raw_ssh import (USERAUTH_FAILURE, USERAUTH_INFO_RESPONSE, USERAUTH_REQUEST, Connection, Ended, byte, string, u32)

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


for attack in (another_number_of_answers, long_answer, another_user, answered_twice, request_while_waited_for):
    connection = Connection(host)
    try:
        connection.hello()
        connection.exchange_keys()
        connection.ask_service()
        begin(connection, user)
        connection.expect(INFO_REQUEST)
        attack(connection)
        print(attack.__name__, "went on")
    except Ended as end:
        print(attack.__name__, end)
    connection.socket.close()
