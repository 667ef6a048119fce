"""Who may be answered through the listener, and how much."""

import socket

from qsh.server.listener.detours import AMPLIFICATION, FIRST_CREDIT, MAX_DETOURS, Detours
from qsh.server.listener.udp_sockets import Received

LOCAL = ("192.0.2.2", 22)


def received(port, size=100):
    return Received(bytes(size), ("198.51.100.7", port), LOCAL)


def test_nobody_is_answered_who_has_sent_nothing():
    with socket.socket() as sock:
        detours = Detours()
        detours.seen(sock, received(1))
        assert detours.find(("198.51.100.7", 2)) is None
        assert detours.spend(("198.51.100.7", 2), 1) is None


def test_an_answer_is_bounded_by_what_came():
    with socket.socket() as sock:
        detours = Detours()
        for _ in range(10):
            detours.seen(sock, received(1))
        room = FIRST_CREDIT + AMPLIFICATION * 1000
        assert detours.spend(("198.51.100.7", 1), room - 5).remote == ("198.51.100.7", 1)
        assert detours.spend(("198.51.100.7", 1), 6) is None
        assert detours.spend(("198.51.100.7", 1), 5).local == LOCAL


def test_only_the_last_addresses_are_known():
    with socket.socket() as sock:
        detours = Detours()
        for port in range(100):
            detours.seen(sock, received(port))
        known = [port for port in range(100) if detours.find(("198.51.100.7", port))]
        assert known == list(range(100 - MAX_DETOURS, 100))


def test_another_way_in_is_another_detour():
    with socket.socket() as one, socket.socket() as two:
        detours = Detours()
        detours.seen(one, received(1))
        detours.spend(("198.51.100.7", 1), FIRST_CREDIT)
        detours.seen(two, received(1))
        assert detours.find(("198.51.100.7", 1)).sock is two
