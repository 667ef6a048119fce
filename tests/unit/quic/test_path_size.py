"""How large datagrams become, and what happens when a path takes only smaller ones any more."""

import pytest

from qsh.quic.engine import EngineConfig
from tests.unit.quic.simulation import ENGINE_PAIRS, Link, Pair

STEP = 0.05
"""Seconds between looks at what has arrived."""


@pytest.fixture(params=ENGINE_PAIRS, ids="-".join)
def engines(request):
    return request.param


def config(largest):
    return EngineConfig(max_datagram_size=1200, largest_datagram_size=largest)


def pair_with(engines, link, largest=1452):
    pair = Pair(engines, link, config(largest), config(largest)).handshake()
    for side in pair.sides:
        side.engine.raise_credit()
    return pair


def send(pair, count):
    stream_id = pair.client.engine.open_stream()
    pair.client.engine.send_stream_data(stream_id, bytes(count))
    return stream_id


def longest_pause(pair, stream_id, count):
    """Seconds in which nothing arrived, until `count` bytes had."""
    longest, since, had = 0.0, pair.now, len(pair.server.received.get(stream_id, b""))
    while had < count:
        pair.run(STEP)
        now_has = len(pair.server.received.get(stream_id, b""))
        if now_has > had:
            had, since = now_has, pair.now
        longest = max(longest, pair.now - since)
        assert longest < 30, "the transfer has stopped"
    return longest


def test_datagrams_grow_to_what_ethernet_takes(engines):
    pair = pair_with(engines, Link(mtu=1452))
    send(pair, 300_000)
    pair.run(10)
    assert pair.client.engine.stats.datagram_size == 1452


def test_datagrams_grow_with_jumbo_frames(engines):
    pair = pair_with(engines, Link(mtu=8952), largest=8952)
    stream_id = send(pair, 1_000_000)
    pair.run(20)
    assert len(pair.server.received[stream_id]) == 1_000_000
    assert pair.client.engine.stats.datagram_size > 8900


def test_datagrams_of_loopback_carry_whole_streams(engines):
    pair = pair_with(engines, Link(), largest=65_000)
    stream_id = send(pair, 3_000_000)
    pair.run(20)
    assert len(pair.server.received[stream_id]) == 3_000_000
    assert pair.client.engine.stats.datagram_size >= 16_000


def test_a_probe_that_is_too_large_is_no_congestion(engines):
    pair = pair_with(engines, Link(mtu=1250), largest=8952)
    window = pair.client.engine.stats.congestion_window
    stream_id = send(pair, 200_000)
    pair.run(10)
    stats = pair.client.engine.stats
    assert len(pair.server.received[stream_id]) == 200_000
    assert stats.packets_lost == 0
    assert stats.congestion_window >= window
    assert 1200 <= stats.datagram_size <= 1250


@pytest.mark.parametrize("round_trip", [0.02, 0.2])
def test_a_path_that_shrinks_amid_a_transfer_heals_within_two_seconds(engines, round_trip):
    pair = pair_with(engines, Link(latency=round_trip / 2, mtu=1400))
    first = send(pair, 500_000)
    pair.run(20, lambda: len(pair.server.received.get(first, b"")) == 500_000)
    assert pair.client.engine.stats.datagram_size > 1280
    second = send(pair, 2_000_000)
    pair.run(2 * round_trip)
    pair.link.mtu = 1280
    assert longest_pause(pair, second, 2_000_000) < 2.0
    assert pair.client.engine.stats.datagram_size <= 1280
