"""What the native engine has beyond the conformance suite: priorities, MTU discovery, limits."""

import random
import time

import pytest
from aioquic import tls

from qsh.errors import ConfigError, LocalProtocolError
from qsh.quic import engine_aioquic_connection
from qsh.quic.engine import IssuedId, available, random_id
from qsh.quic.events import ConnectionClosed, DatagramsReceived, HandshakeCompleted, StreamData
from tests.unit.quic.simulation import Link, Pair, config, identity

pytestmark = pytest.mark.skipif("quinn" not in available(), reason="needs the native engine")

NATIVE = ("quinn", "quinn")
MIXED = [("quinn", "aioquic"), ("aioquic", "quinn")]


def bulk(pair, size, sender=None):
    """A stream on which `size` bytes wait."""
    sender = sender or pair.client
    stream_id = sender.engine.open_stream()
    sender.engine.send_stream_data(stream_id, bytes(size))
    return stream_id


class TestHandshake:
    def test_two_native_engines_agree_on_a_hybrid_group(self):
        pair = Pair(NATIVE).handshake()
        assert pair.client.of(HandshakeCompleted)[0].key_exchange == "X25519MLKEM768"

    def test_a_hello_of_two_datagrams_arrives_in_any_order(self):
        pair = Pair(NATIVE)
        (first,) = pair.client.engine.datagrams_to_send(pair.now)
        assert len(first.data) == 2400
        for datagram in (first.data[1200:], first.data[:1200]):
            pair.send(pair.client, datagram)
        pair.handshake()

    def test_an_initial_of_another_client_starts_nothing(self):
        pair = Pair(NATIVE, original_destination_connection_id=bytes(16))
        pair.run(2)
        assert not pair.sent("server")

    def test_a_forged_certificate_verify_is_refused(self):
        """The certificate of one key, the signature of another."""
        honest, other = identity(), identity(60)
        forged = type(honest)(honest.certificate_der, other.private_key_der)
        with pytest.raises(ConfigError):
            Pair(NATIVE, identity=forged)
        pair = Pair(("quinn", "aioquic"), identity=forged)
        assert pair.run(5, lambda: pair.client.closed)
        assert not pair.client.handshaken

    @pytest.mark.parametrize("name", ["", "192.0.2.9", "not a name", "ö.example"])
    def test_any_server_name_will_do(self, name):
        from qsh.quic import engine_quinn

        engine = engine_quinn.new_client(config(), name, ("192.0.2.2", 22), 0.0)
        assert engine.datagrams_to_send(0.0)


class TestSettings:
    @pytest.mark.parametrize("name", ["cubic", "bbr", "reno"])
    def test_congestion_control_can_be_chosen(self, name):
        settings = config(congestion_control=name)
        pair = Pair(NATIVE, Link(loss=0.02), settings, settings).handshake()
        stream_id = bulk(pair, 300_000)
        assert pair.run(60, lambda: len(pair.server.received.get(stream_id, b"")) == 300_000)

    def test_what_it_cannot_honour_is_named(self):
        for wrong in (
            config(congestion_control="nonesuch"),
            config(idle_timeout=-1.0),
            config(initial_rtt=float("nan")),
        ):
            with pytest.raises(ConfigError, match="QUIC cannot start"):
                Pair(NATIVE, client_config=wrong)

    def test_an_id_source_that_repeats_itself_hangs_nothing(self):
        fixed = IssuedId(bytes(range(16)), bytes(16))
        Pair(NATIVE, client_config=config(new_id=lambda: fixed)).handshake()

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_an_id_source_that_fails_ends_nothing(self):
        ids = [random_id() for _ in range(2)]
        Pair(NATIVE, server_config=config(new_id=lambda: ids.pop())).handshake()


class TestStreams:
    def test_a_keystroke_overtakes_waiting_bulk(self):
        """RFC 9000 section 2.3: here priorities are absolute."""
        pair = Pair(NATIVE).handshake()
        slow, fast = bulk(pair, 30_000_000), pair.client.engine.open_stream()
        pair.client.engine.set_priority(slow, -1)
        pair.client.engine.set_priority(fast, 2)
        pair.run(1, lambda: len(pair.server.received.get(slow, b"")) > 200_000)
        for _ in range(5):
            start = pair.now
            before = len(pair.server.received.get(fast, b""))
            pair.client.engine.send_stream_data(fast, b"k")
            assert pair.run(2, lambda n=before: len(pair.server.received.get(fast, b"")) > n)
            assert pair.now - start < 0.03, "the latency is 10 ms"
        assert len(pair.server.received[slow]) < 30_000_000, "bulk was done too early to tell"

    def test_equals_share(self):
        pair = Pair(NATIVE).handshake()
        streams = [bulk(pair, 5_000_000) for _ in range(4)]
        received = pair.server.received
        pair.run(5, lambda: sum(len(received.get(s, b"")) for s in streams) > 6_000_000)
        shares = [len(received.get(s, b"")) for s in streams]
        assert min(shares) > max(shares) / 3

    def test_what_nobody_consumes_is_bounded(self):
        pair = Pair(NATIVE).handshake()
        pair.server.consumes = False
        stream_id = bulk(pair, 60_000_000)
        pair.run(20)
        delivered = len(pair.server.received[stream_id])
        assert delivered < 2 << 20
        assert pair.client.engine.stream_unsent(stream_id) > 30_000_000
        other = bulk(pair, 50_000)
        assert pair.run(2, lambda: len(pair.server.received.get(other, b"")) == 50_000)
        pair.server.engine.consume(stream_id, delivered)
        assert pair.run(5, lambda: len(pair.server.received[stream_id]) > delivered)

    def test_what_came_before_the_end_is_delivered_before_it(self):
        pair = Pair(NATIVE).handshake()
        pair.server.consumes = False
        stream_id = bulk(pair, 3_000_000)
        pair.run(5)
        pair.client.engine.close(11, "", pair.now)
        assert pair.run(1, lambda: pair.server.closed)
        assert len(pair.server.received[stream_id]) == 3_000_000
        assert isinstance(pair.server.events[-1], ConnectionClosed)

    def test_a_peer_may_open_and_end_streams_without_end(self):
        pair = Pair(NATIVE, server_config=config(max_streams=8)).handshake()
        for _ in range(300):
            stream_id = pair.client.engine.open_stream()
            pair.client.engine.send_stream_data(stream_id, b"x", True)
            assert pair.run(5, lambda s=stream_id: s in pair.server.finished)
            pair.server.engine.send_stream_data(stream_id, b"", True)

    def test_wrong_stream_ids_change_nothing(self):
        pair = Pair(NATIVE).handshake()
        engine = pair.client.engine
        for stream_id in (0, 1, 2, 3, 4000, 4001, 4002, 4003, 1 << 62, (1 << 64) - 1):
            engine.send_stream_data(stream_id, b"x")
            engine.reset_stream(stream_id, 1)
            engine.stop_stream(stream_id, 1 << 63)
            engine.set_priority(stream_id, 5)
            engine.consume(stream_id, 1 << 40)
        pair.run(1)
        assert not pair.client.closed
        with pytest.raises(LocalProtocolError):
            engine.export_keying_material(b"label", b"", 1 << 20)


class TestPath:
    def test_the_size_of_datagrams_is_discovered(self):
        pair = Pair(NATIVE, Link(mtu=1472)).handshake()
        pair.run(3)
        assert [side.engine.stats.datagram_size for side in pair.sides] == [1452, 1452]
        largest = pair.client.engine.max_datagram_payload
        assert largest > 1380
        pair.client.engine.send_datagrams([bytes(largest)])
        assert pair.run(1, lambda: pair.server.of(DatagramsReceived))

    def test_discovery_stops_below_what_the_path_drops(self):
        pair = Pair(NATIVE, Link(mtu=1300)).handshake()
        pair.run(10)
        assert 1200 < pair.client.engine.stats.datagram_size <= 1300
        assert not pair.client.closed

    @pytest.mark.parametrize("latency", [0.005, 0.05])
    @pytest.mark.parametrize("engines", [NATIVE, ("quinn", "aioquic")], ids="-to-".join)
    def test_a_black_hole_heals_within_two_seconds(self, engines, latency):
        pair = Pair(engines, Link(latency=latency, mtu=1472), config(max_datagram_size=1452))
        pair.handshake()
        stream_id = bulk(pair, 3_000_000)
        received = pair.server.received
        pair.run(60, lambda: len(received.get(stream_id, b"")) > 500_000)
        pair.link.mtu = 1252
        before = len(received[stream_id])
        assert pair.run(2, lambda: len(received[stream_id]) > before + 300_000)
        assert pair.client.engine.stats.datagram_size <= 1252

    def test_a_path_that_grows_again_is_used_within_ten_seconds(self):
        pair = Pair(NATIVE, Link(mtu=1472), config(max_datagram_size=1452)).handshake()
        stream_id = bulk(pair, 3_000_000)
        received, engine = pair.server.received, pair.client.engine
        pair.run(60, lambda: len(received.get(stream_id, b"")) > 500_000)
        pair.link.mtu = 1252
        assert pair.run(5, lambda: engine.stats.datagram_size <= 1252)
        pair.link.mtu = 1472
        for _ in range(100):  # probes go with what is sent anyway
            engine.send_datagrams([b"x"])
            if pair.run(0.1, lambda: engine.stats.datagram_size > 1400):
                return
        raise AssertionError(engine.stats.datagram_size)


class TestLoad:
    @pytest.mark.parametrize("engines", [NATIVE, *MIXED], ids="-to-".join)
    @pytest.mark.parametrize("seed", range(3))
    def test_both_directions_and_datagrams_at_once(self, engines, seed):
        """qh3's acknowledgements starved here: no stall may last a second."""
        chance = random.Random(seed)
        link = Link(latency=chance.uniform(0.01, 0.05), loss=0.01 * chance.random(), seed=seed)
        pair = Pair(engines, link).handshake()
        streams = {side.name: bulk(pair, 1_500_000, side) for side in pair.sides}
        latest = {side.name: (0, pair.now) for side in pair.sides}
        deadline = pair.now + 300
        while pair.now < deadline:
            for side in pair.sides:
                side.engine.send_datagrams([bytes(500)])
            pair.run(0.05)
            for side in pair.sides:
                got = len(pair.other(side).received.get(streams[side.name], b""))
                if got == 1_500_000 or got > latest[side.name][0]:
                    latest[side.name] = (got, pair.now)
                assert pair.now - latest[side.name][1] < 1.0, "stalled"
            if all(got == 1_500_000 for got, _ in latest.values()):
                return
        raise AssertionError("not done in five minutes")

    def test_keys_are_updated_on_the_way(self):
        """quinn does so after 10 to 1000 packets, then at the cipher's limit."""
        pair = Pair(NATIVE).handshake()
        stream_id = bulk(pair, 6_000_000)
        assert pair.run(30, lambda: len(pair.server.received.get(stream_id, b"")) == 6_000_000)
        assert pair.client.engine.stats.packets_sent > 4000

    def test_a_batch_is_taken_and_given_fast(self):
        """Some slack for a busy machine: 100 MB/s in one thread, both ends together."""
        pair = Pair(NATIVE, client_config=config(max_datagram_size=1452)).handshake()
        engine, peer = pair.client.engine, pair.server.engine
        stream_id = engine.open_stream()
        chunk, got, start = bytes(256 << 10), 0, time.process_time()
        while got < 32 << 20:
            if engine.stream_unsent(stream_id) < len(chunk):
                engine.send_stream_data(stream_id, chunk)
            pair.now += 0.001
            for transmit in engine.datagrams_to_send(pair.now):
                peer.receive_datagrams(
                    transmit.data, transmit.segment_size, pair.client.address, pair.now
                )
            while (event := peer.next_event()) is not None:
                if isinstance(event, StreamData):
                    got += len(event.data)
                    peer.consume(event.stream_id, len(event.data))
            for transmit in peer.datagrams_to_send(pair.now):
                engine.receive_datagrams(
                    transmit.data, transmit.segment_size, pair.server.address, pair.now
                )
        assert time.process_time() - start < 0.32


@pytest.mark.parametrize("engines", MIXED, ids="-".join)
def test_the_peers_key_updates_are_followed(engines, monkeypatch):
    """RFC 9001 section 6: aioquic asks for them, and can read nothing if quinn does not follow."""
    monkeypatch.setattr(engine_aioquic_connection, "KEY_UPDATE_PACKETS", 50)
    pair = Pair(engines, Link(loss=0.02)).handshake()
    updating = pair.client if engines[0] == "aioquic" else pair.server
    phases = set()
    for side in pair.sides:
        stream_id = side.engine.open_stream()
        side.engine.send_stream_data(stream_id, b"x" * 300_000, True)
        receiver = pair.other(side)
        for _ in range(2000):
            pair.run(0.05)
            phases.add(updating.engine._connection._cryptos[tls.Epoch.ONE_RTT].recv.secret)
            if stream_id in receiver.finished:
                break
        assert stream_id in receiver.finished
    assert len(phases) > 2
    assert not pair.client.closed
    assert not pair.server.closed
