"""What every engine must do, for all pairs of those that are installed: streams and datagrams."""

import pytest

from qsh.errors import ConfigError, LocalProtocolError
from qsh.quic.engine import available, load
from qsh.quic.events import DatagramsReceived, StreamReset, StreamStopped
from tests.unit.quic.simulation import Link, Pair, config


def exchange(pair, sender, size, count=3):
    """Send on several streams, then finish; returns what was sent."""
    sent = {}
    for number in range(count):
        stream_id = sender.engine.open_stream()
        sent[stream_id] = bytes([number + 1]) * size
        sender.engine.send_stream_data(stream_id, sent[stream_id], True)
    receiver = pair.other(sender)
    assert pair.run(120, lambda: receiver.finished >= sent.keys())
    return sent


def test_stream_ids_are_those_of_the_role(pair):
    assert [pair.client.engine.open_stream() for _ in range(3)] == [0, 4, 8]
    assert [pair.server.engine.open_stream() for _ in range(3)] == [1, 5, 9]
    assert pair.client.engine.open_stream(bidirectional=False) == 2
    assert pair.server.engine.open_stream(bidirectional=False) == 3


def test_streams_carry_bytes_both_ways(pair):
    assert exchange(pair, pair.client, 20_000) == pair.server.received
    assert exchange(pair, pair.server, 20_000) == pair.client.received


def test_the_two_directions_of_a_stream_end_apart(pair):
    client, server = pair.sides
    stream_id = client.engine.open_stream()
    client.engine.send_stream_data(stream_id, b"question", True)
    assert pair.run(1, lambda: stream_id in server.finished)
    server.engine.send_stream_data(stream_id, b"answer", False)
    assert pair.run(1, lambda: client.received.get(stream_id) == b"answer")
    assert stream_id not in client.finished
    server.engine.send_stream_data(stream_id, b"", True)
    assert pair.run(1, lambda: stream_id in client.finished)


def test_streams_opened_before_the_handshake_are_sent_after_it(engines):
    pair = Pair(engines)
    stream_id = pair.client.engine.open_stream()
    pair.client.engine.send_stream_data(stream_id, b"early")
    assert pair.run(2, lambda: pair.server.received.get(stream_id) == b"early")


def test_a_server_may_send_before_the_client_has_finished(engines):
    pair = Pair(engines)
    pair.run(2, lambda: len(pair.sent("client")) > 0)
    stream_id = pair.server.engine.open_stream()
    pair.server.engine.send_stream_data(stream_id, b"welcome")
    assert pair.run(2, lambda: pair.client.received.get(stream_id) == b"welcome")


@pytest.mark.parametrize("seed", range(4))
def test_bytes_survive_a_bad_link(engines, seed):
    link = Link(latency=0.02, loss=0.08, reorder=0.2, duplicate=0.05, seed=seed)
    pair = Pair(engines, link).handshake()
    assert exchange(pair, pair.client, 60_000) == pair.server.received
    assert exchange(pair, pair.server, 60_000) == pair.client.received


def test_runs_of_datagrams_may_be_taken_as_they_were_given(pair):
    """UDP_GRO hands over whole runs, the last datagram of which may be shorter."""
    stream_id = pair.client.engine.open_stream()
    pair.client.engine.send_stream_data(stream_id, b"x" * 8000)
    transmits = pair.client.engine.datagrams_to_send(pair.now)
    assert any(len(t.data) > t.segment_size for t in transmits), "nothing was joined"
    for t in transmits:
        pair.server.engine.receive_datagrams(t.data, t.segment_size, pair.client.address, pair.now)
    assert pair.run(2, lambda: pair.server.received.get(stream_id) == b"x" * 8000)


def test_unsent_bytes_are_counted_until_they_leave(pair):
    engine = pair.client.engine
    stream_id = engine.open_stream()
    engine.send_stream_data(stream_id, b"x" * 500_000)
    assert engine.stream_unsent(stream_id) == 500_000
    pair.flush(pair.client)
    assert 0 < engine.stream_unsent(stream_id) < 500_000, "the congestion window is all that leaves"
    assert pair.run(30, lambda: len(pair.server.received.get(stream_id, b"")) == 500_000)
    assert engine.stream_unsent(stream_id) == 0
    assert engine.stream_unsent(4000) == 0


def test_a_reset_stream_is_reported_and_takes_no_more(pair):
    client, server = pair.sides
    stream_id = client.engine.open_stream()
    client.engine.send_stream_data(stream_id, b"x" * 100)
    pair.run(0.1)
    client.engine.send_stream_data(stream_id, b"y" * 900_000)
    client.engine.reset_stream(stream_id, 7)
    assert client.engine.stream_unsent(stream_id) == 0
    client.engine.send_stream_data(stream_id, b"dropped", True)
    assert pair.run(2, lambda: server.of(StreamReset) == [StreamReset(stream_id, 7)])
    assert len(server.received[stream_id]) < 900_000
    client.engine.reset_stream(stream_id, 8)
    client.engine.reset_stream(4000, 8)
    exchange(pair, pair.client, 100)


def test_a_stopped_stream_is_reported_and_takes_no_more(pair):
    client, server = pair.sides
    stream_id = client.engine.open_stream()
    client.engine.send_stream_data(stream_id, b"x" * 100)
    pair.run(0.1)
    server.engine.stop_stream(stream_id, 9)
    server.engine.stop_stream(4000, 9)
    assert pair.run(2, lambda: client.of(StreamStopped) == [StreamStopped(stream_id, 9)])
    before = server.received[stream_id]
    client.engine.send_stream_data(stream_id, b"dropped", True)
    pair.run(1)
    assert server.received[stream_id] == before
    exchange(pair, pair.client, 100)


def test_bytes_for_finished_and_unknown_streams_are_dropped(pair):
    client, server = pair.sides
    sent = exchange(pair, client, 10, count=1)
    client.engine.send_stream_data(0, b"after the end")
    client.engine.send_stream_data(4000, b"unknown")
    client.engine.send_stream_data(4001, b"not ours")
    pair.run(1)
    assert server.received == sent


def test_a_peer_has_limited_credit_until_it_is_raised(engines):
    pair = Pair(engines, server_config=config(pre_login_credit=20_000))
    stream_id = pair.client.engine.open_stream()
    pair.client.engine.send_stream_data(stream_id, b"x" * 100_000)
    other = pair.client.engine.open_stream()
    pair.client.engine.send_stream_data(other, b"y" * 100_000)
    pair.run(10)
    assert 0 < sum(len(data) for data in pair.server.received.values()) <= 20_000
    assert not pair.server.closed
    pair.server.engine.raise_credit()
    pair.server.engine.raise_credit()
    assert pair.run(20, lambda: sum(map(len, pair.server.received.values())) == 200_000)


def test_a_reader_that_consumes_is_never_stopped(pair):
    stream_id = pair.server.engine.open_stream()
    for _ in range(4):
        pair.server.engine.send_stream_data(stream_id, b"x" * (1 << 20))
        pair.client.received.pop(stream_id, None)
        assert pair.run(60, lambda: len(pair.client.received.get(stream_id, b"")) == 1 << 20)


def test_a_peer_opens_no_more_streams_than_allowed(engines):
    pair = Pair(engines, server_config=config(max_streams=20)).handshake()
    ids = [pair.client.engine.open_stream() for _ in range(50)]
    for stream_id in ids:
        pair.client.engine.send_stream_data(stream_id, b"x", True)
    pair.run(3)
    assert len(pair.server.finished) == 20
    for stream_id in ids:
        pair.server.engine.send_stream_data(stream_id, b"", True)
    assert pair.run(10, lambda: len(pair.server.finished) >= 40)


def test_datagrams_arrive_whole(pair):
    for side in pair.sides:
        largest = side.engine.max_datagram_payload
        assert 1100 < largest < 65536
        payloads = [b"", b"x", b"y" * largest]
        side.engine.send_datagrams(payloads)
        pair.run(1)
        assert arrived(pair.other(side)) == payloads


def arrived(side):
    """The payloads of all datagrams that came."""
    return [payload for event in side.of(DatagramsReceived) for payload in event.datagrams]


def test_a_datagram_larger_than_the_path_is_refused(pair):
    engine = pair.client.engine
    with pytest.raises(LocalProtocolError):
        engine.send_datagrams([b"x" * (engine.max_datagram_payload + 1)])
    with pytest.raises(LocalProtocolError):
        engine.send_datagrams([b"x" * 65_000])
    engine.send_datagrams([b"fits"])
    assert pair.run(1, lambda: arrived(pair.server) == [b"fits"])


def test_before_the_handshake_there_are_no_datagrams(engines):
    pair = Pair(engines)
    assert pair.client.engine.max_datagram_payload is None
    with pytest.raises(LocalProtocolError):
        pair.client.engine.send_datagrams([b"x"])


def test_a_flood_of_datagrams_is_bounded_and_ends_nothing(pair):
    engine = pair.client.engine
    engine.send_datagrams([b"x" * 1000] * 5000)
    exchange(pair, pair.client, 1000)
    assert len(arrived(pair.server)) <= 5000


def test_streams_of_any_priority_arrive(pair):
    first, second = pair.client.engine.open_stream(), pair.client.engine.open_stream()
    pair.client.engine.set_priority(first, -1)
    pair.client.engine.set_priority(second, 2)
    pair.client.engine.set_priority(4000, 2)
    for stream_id in (first, second):
        pair.client.engine.send_stream_data(stream_id, b"x" * 100_000, True)
    assert pair.run(10, lambda: pair.server.finished == {first, second})


def test_an_engine_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="no QUIC engine 'nonesuch'"):
        load("nonesuch")


def test_the_environment_chooses_the_engine(monkeypatch):
    for name in available():
        monkeypatch.setenv("QSH_ENGINE", name)
        assert load().__name__.endswith(name)


def test_the_end_is_told_though_the_window_is_full(pair):
    pair.handshake()
    client = pair.client.engine
    client.send_stream_data(client.open_stream(), bytes(1_000_000))
    pair.flush(pair.client)
    assert not client.datagrams_to_send(pair.now)
    client.close(11, "enough", pair.now)
    assert pair.run(5, lambda: pair.server.closed)
    assert pair.server.closed.code == 11
