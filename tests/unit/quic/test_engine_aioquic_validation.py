"""The second validation of a path whose first challenge was small (RFC 9000 section 8.2.1)."""

import pytest

from qsh.quic.engine import available
from qsh.quic.events import PathChanged
from tests.unit.quic.simulation import Link, Pair, config

FOREIGN = ("203.0.113.9", 40000)
LEAST = 1200
"""Bytes of UDP payload (RFC 9000 section 8.2.1)."""


def seen_elsewhere(client="aioquic", key=b"k"):
    """A pair whose client has another address from now on, and has sent a small packet from it.
    The server looks for larger datagrams no more."""
    limits = config(idle_timeout=3600.0, largest_datagram_size=LEAST)
    pair = Pair((client, "aioquic"), Link(latency=0.05), limits, limits).handshake()
    stream_id = pair.client.engine.open_stream()
    pair.client.engine.send_stream_data(stream_id, b"begin")
    pair.run(2)
    pair.log.clear()
    pair.client.address = FOREIGN
    pair.client.engine.send_stream_data(stream_id, key)
    return pair, stream_id


def large(pair):
    return [size for size in map(len, pair.sent("server")) if size >= LEAST]


@pytest.mark.parametrize("client", available())
def test_a_large_challenge_follows_the_small_one(client):
    pair, _ = seen_elsewhere(client)
    pair.run(0.149)
    assert not pair.server.of(PathChanged)
    assert not large(pair), "there was no room for one"
    assert pair.run(0.01, lambda: pair.server.of(PathChanged) == [PathChanged(FOREIGN)])
    pair.run(1)
    assert large(pair) == [LEAST]
    pair.run(30)
    assert large(pair) == [LEAST], "it was answered"
    assert pair.server.engine.stats.bytes_in_flight == 0


def test_a_first_challenge_that_was_large_is_enough():
    pair, _ = seen_elsewhere(key=bytes(1000))
    assert pair.run(1, lambda: pair.server.of(PathChanged) == [PathChanged(FOREIGN)])
    pair.run(5)
    assert large(pair) == [LEAST]


def test_what_is_lost_is_tried_three_times_and_the_session_goes_on():
    pair, stream_id = seen_elsewhere()
    pair.run(0.12)  # the answer to the small one is on its way
    pair.link.mtu = LEAST - 1
    pair.run(60)
    assert large(pair) == [LEAST] * 3
    pair.server.engine.send_stream_data(stream_id, b"echo")
    assert pair.run(1, lambda: pair.client.received.get(stream_id) == b"echo")
    assert not pair.server.closed


def test_who_moves_on_is_asked_at_the_new_place_only():
    pair, stream_id = seen_elsewhere()
    assert pair.run(1, lambda: pair.server.of(PathChanged) == [PathChanged(FOREIGN)])
    elsewhere = ("203.0.113.10", 40000)
    pair.client.address = elsewhere
    pair.client.engine.send_stream_data(stream_id, b"k")
    pair.run(0.06)
    for transmit in pair.server.engine.datagrams_to_send(pair.now):
        assert transmit.remote == elsewhere
    assert pair.run(5, lambda: pair.server.of(PathChanged)[-1:] == [PathChanged(elsewhere)])
    pair.run(5)
    assert large(pair)[-1:] == [LEAST]
