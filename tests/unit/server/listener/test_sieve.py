"""What the kernel lets through in a flood: real sockets, a real program."""

import os
import socket

import pytest

from qsh.server.listener.cid_router import parse_header
from qsh.server.listener.sieve import (
    FLOOD,
    LET_THROUGH,
    SO_ATTACH_FILTER,
    TURN,
    Share,
    Sieve,
    _attach,
    begins,
    program,
)


def long(kind=0, version=1, destination=16, source=8, rest=b"\0"):
    head = bytes((0xC0 | kind << 4,)) + version.to_bytes(4, "big")
    ids = bytes((destination,)) + os.urandom(destination) + bytes((source,)) + os.urandom(source)
    return (head + ids + rest).ljust(1200, b"\1")


BEGINNINGS = {
    "an Initial": long(),
    "another's Initial, with long IDs": long(destination=20, source=20),
    "an Initial without an ID of its own": long(source=0),
    "a Handshake packet": long(kind=2),
    "0-RTT": long(kind=1),
    "another version": long(version=0x1A2A3A4A),
    "Version Negotiation": long(version=0),
}
OTHERS = {
    "an Initial with a token": long(rest=b"\x40\x41" + bytes(65)),
    "an Initial with a short token": long(rest=b"\x05token", source=0),
    "a short header": b"\x40" + os.urandom(16) + bytes(40),
    "a short datagram": b"\x40",
}


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def pair(request):
    """A socket to receive by and one that is connected to it."""
    family, host = request.param
    with socket.socket(family, socket.SOCK_DGRAM) as ours, \
            socket.socket(family, socket.SOCK_DGRAM) as theirs:  # fmt: skip
        try:
            ours.bind((host, 0))
        except OSError:
            pytest.skip("no such addresses here")
        theirs.connect(ours.getsockname())
        ours.setblocking(False)
        yield ours, theirs


def came_through(pair, packet):
    ours, theirs = pair
    theirs.send(packet)  # the loopback delivers at once
    try:
        return ours.recv(65535) == packet
    except BlockingIOError:
        return False


@pytest.mark.parametrize("name", BEGINNINGS)
def test_beginnings_are_drawn_for(name, pair):
    packet = BEGINNINGS[name]
    assert begins(packet, parse_header(packet))
    assert came_through(pair, packet)
    _attach(pair[0], program(0.0))
    assert not came_through(pair, packet)
    _attach(pair[0], program(1.0))
    assert came_through(pair, packet)


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_is_not(name, pair):
    packet = OTHERS[name]
    header = parse_header(packet)
    assert header is None or not begins(packet, header)
    _attach(pair[0], program(0.0))
    assert came_through(pair, packet)


def test_the_share_is_what_was_asked_for(pair):
    _attach(pair[0], program(0.1))
    count = sum(came_through(pair, BEGINNINGS["an Initial"]) for _ in range(3000))
    assert 200 < count < 420


def test_nobody_is_drawn_for_below_a_flood():
    share = Share(0.0)
    for _ in range(int(FLOOD * TURN)):
        share.seen()
    assert not share.is_due(TURN - 0.01)
    assert share.is_due(TURN)
    assert not share.decide(TURN, 0)
    assert share.share == 1


def test_a_flood_is_cut_to_what_can_be_answered_however_large_it_is():
    share, now = Share(0.0), 0.0
    for rate in [20_000] * 8 + [100_000] * 8:
        read = int(min(rate * share.share, 8000) * TURN)  # more there is no time for
        for _ in range(read):
            share.seen()
        now += TURN
        share.decide(now, int(rate * TURN) - read)
    assert 100_000 * share.share == pytest.approx(LET_THROUGH, rel=0.1)


def test_a_flood_that_is_hardly_read_at_all_is_one_too():
    share = Share(0.0)
    assert share.decide(TURN, 5000)
    assert share.share == pytest.approx(LET_THROUGH / 20_000)


def test_it_is_over_when_no_more_come():
    share = Share(0.0)
    assert share.decide(TURN, 5000)
    assert share.decide(2 * TURN, 10)
    assert share.share == 1


def test_the_sockets_get_the_program_and_are_rid_of_it(pair):
    """By a real flood, of which more is lost than read."""
    ours, theirs = pair
    _attach(ours, program(0.0))  # a listener before us was killed in a flood
    sieve = Sieve([ours], 0.0)
    packet = BEGINNINGS["an Initial"]
    assert came_through(pair, packet)
    assert sieve.patience is None
    for _ in range(5000):
        theirs.send(packet)
    while True:
        try:
            sieve.seen(packet, parse_header(ours.recv(65535)))
        except BlockingIOError:
            break
    sieve.turn(TURN)
    assert sieve.patience == TURN
    assert sum(came_through(pair, packet) for _ in range(400)) < 100
    sieve.turn(2 * TURN)
    sieve.turn(3 * TURN)
    assert sieve.patience is None
    assert all(came_through(pair, packet) for _ in range(100))


def test_the_number_of_the_option_is_pythons_where_it_has_one():
    assert getattr(socket, "SO_ATTACH_FILTER", SO_ATTACH_FILTER) == SO_ATTACH_FILTER
