"""What the listener takes from the relay of TcpPort, which faces strangers and is not trusted."""

import os
import socket

import pytest

from qsh.errors import DecodeError
from qsh.server.listener.streams import decode_stream, encode_stream, take_streams

REMOTE, LOCAL = ("192.0.2.1", 4242), ("2001:db8::1", 22)


@pytest.fixture
def ends():
    """The relay's end, and the listener's."""
    relays, listeners = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listeners.setblocking(False)
    with relays, listeners:
        yield relays, listeners


def hand(relays, descriptor):
    socket.send_fds(relays, [encode_stream(REMOTE, LOCAL, b"packet")], [descriptor])


def test_addresses_and_the_first_packet_arrive(ends):
    relays, listeners = ends
    ours, theirs = socket.socketpair()
    with ours, theirs:
        hand(relays, theirs.fileno())
        ((stream, received),) = take_streams(listeners)
        assert (received.remote, received.local, received.data) == (REMOTE, LOCAL, b"packet")
        with stream:
            stream.send(b"x")
        assert ours.recv(10) == b"x"


@pytest.mark.parametrize("host", ["localhost", "", "192.0.2.1\n", "192.0.2.1/8", "1", "é"])
def test_what_is_no_address(host):
    raw = host.encode()
    whole = encode_stream(REMOTE, LOCAL, b"packet")
    bad = bytes((len(raw),)) + raw + (4242).to_bytes(2, "big")
    good = whole[: 1 + len(REMOTE[0]) + 2]
    with pytest.raises(DecodeError):
        decode_stream(bad + whole[len(good) :])
    with pytest.raises(DecodeError):
        decode_stream(good + bad + b"packet")


def other_descriptors():
    """What a relay in a stranger's hands could pass: by a UDP or TCP socket the listener would be
    led to bind one for it, by a pipe to an end."""
    yield os.pipe()[0]
    for family, kind in (
        (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_STREAM),
        (socket.AF_UNIX, socket.SOCK_DGRAM),
    ):  # fmt: skip
        yield socket.socket(family, kind).detach()


def test_what_is_no_stream_is_left_and_the_next_one_taken(ends):
    relays, listeners = ends
    ours, theirs = socket.socketpair()
    for descriptor in other_descriptors():
        hand(relays, descriptor)
        os.close(descriptor)
    with ours, theirs:
        hand(relays, theirs.fileno())
    before = len(os.listdir("/proc/self/fd"))
    found = [stream for stream, _ in take_streams(listeners)]
    assert len(found) == 1
    assert len(os.listdir("/proc/self/fd")) == before + 1
    found[0].close()


def test_the_relays_end(ends):
    relays, listeners = ends
    relays.close()
    with pytest.raises(EOFError):
        list(take_streams(listeners))
