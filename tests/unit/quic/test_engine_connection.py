"""What every engine must do, for all pairs of those that are installed: the connection itself."""

import pytest

from qsh.errors import ConfigError, LocalProtocolError
from qsh.quic.engine import CONNECTION_ID_LENGTH, random_id
from qsh.quic.events import ConnectionClosed, HandshakeCompleted, PathChanged, PathTried
from qsh.quic.identity import read_attestation
from tests.unit.quic.packets import (
    LongHeader,
    destination_id,
    encode_retry,
    is_long,
    stateless_reset,
)
from tests.unit.quic.simulation import Link, Pair, config, identity


def record_ids(issued):
    """A `new_id` for EngineConfig that remembers what it gave."""

    def new_id():
        issued.append(random_id())
        return issued[-1]

    return new_id


class TestHandshake:
    def test_both_ends_learn_what_was_agreed(self, pair):
        for side in pair.sides:
            (event,) = side.of(HandshakeCompleted)
            assert event.alpn == "qsh/1"
            assert not event.resumed
            assert event.key_exchange in ("X25519", "X25519MLKEM768")
        assert pair.client.of(HandshakeCompleted) == pair.server.of(HandshakeCompleted)

    @pytest.mark.parametrize("group", ["secp256r1", "secp384r1", "X25519"])
    def test_the_key_exchange_can_be_chosen(self, engines, group):
        for chooser in ("client", "both"):
            chosen = config(key_exchange=("ffdhe2048", group.lower()))
            server = chosen if chooser == "both" else None
            pair = Pair(engines, client_config=chosen, server_config=server).handshake()
            assert pair.client.of(HandshakeCompleted)[0].key_exchange == group
            assert pair.server.of(HandshakeCompleted)[0].key_exchange == group

    def test_ends_without_a_common_key_exchange_do_not_meet(self, engines):
        pair = Pair(engines, client_config=config(key_exchange=("secp256r1",)),
                    server_config=config(key_exchange=("x25519",)))  # fmt: skip
        assert pair.run(5, lambda: pair.client.closed)
        assert not pair.client.handshaken
        assert not pair.server.handshaken

    def test_a_key_exchange_that_an_engine_has_not_is_a_configuration_error(self, engines):
        with pytest.raises(ConfigError, match="no key exchange by ffdhe2048"):
            Pair(engines, client_config=config(key_exchange=("ffdhe2048",)))

    def test_it_takes_one_round_trip(self, engines):
        pair = Pair(engines, Link(latency=0.1))
        start = pair.now
        assert pair.run(2, lambda: pair.client.handshaken)
        assert pair.now - start < 0.25

    @pytest.mark.parametrize("seed", range(5))
    def test_it_survives_a_bad_link(self, engines, seed):
        link = Link(latency=0.05, loss=0.2, reorder=0.3, duplicate=0.2, seed=seed)
        pair = Pair(engines, link)
        assert pair.run(60, lambda: pair.client.handshaken and pair.server.handshaken)

    def test_the_client_sees_the_certificate(self, engines):
        pair = Pair(engines)
        assert pair.client.engine.peer_certificate is None
        pair.handshake()
        assert pair.client.engine.peer_certificate == identity().certificate_der
        assert pair.server.engine.peer_certificate is None
        assert read_attestation(pair.client.engine.peer_certificate)

    def test_first_destination_id_is_known_at_both_ends(self, pair):
        first = LongHeader.read(pair.sent("client")[0])
        assert len(first.destination) == CONNECTION_ID_LENGTH
        for side in pair.sides:
            assert side.engine.original_destination_connection_id == first.destination

    def test_first_packet_is_a_padded_initial_of_version_1(self, pair):
        packet = pair.sent("client")[0]
        assert len(packet) >= 1200
        assert LongHeader.read(packet).version == 1

    def test_different_applications_do_not_connect(self, engines):
        pair = Pair(engines, server_config=config(alpn="other/1"))
        assert pair.run(5, lambda: pair.client.closed and pair.server.closed)
        assert not pair.client.handshaken
        assert not pair.client.closed.by_application
        assert pair.server.closed.local

    def test_server_answers_at_most_three_times_what_it_got(self, engines):
        """RFC 9000 section 8.1: an address that is not validated must not be flooded."""
        pair = Pair(engines, identity=identity(2000, 600))
        pair.flush(pair.client)
        got = sum(map(len, pair.sent("client")))
        pair.client.muted = True
        pair.run(10)
        assert 0 < sum(map(len, pair.sent("server"))) <= 3 * got

    def test_a_large_attestation_needs_more_flights_and_arrives(self, engines):
        pair = Pair(engines, identity=identity(6000, 1100)).handshake()
        attestation, _ = read_attestation(pair.client.engine.peer_certificate)
        assert len(attestation.host_key_blob) == 6000

    def test_after_a_retry_the_first_id_is_still_the_first(self, engines):
        """A stateless server asks for proof of the address; an engine is made only afterwards."""
        retry_id = random_id().connection_id
        pair = Pair(engines, retry_source_connection_id=retry_id)
        first = pair.client.engine.datagrams_to_send(pair.now)[0].data
        header = LongHeader.read(first)
        retry = encode_retry(header, retry_id, b"t" * 80)
        pair.client.engine.receive_datagrams(retry, len(retry), pair.server.address, pair.now)
        pair.handshake()
        assert LongHeader.read(pair.sent("client")[0]).destination == retry_id
        for side in pair.sides:
            assert side.engine.original_destination_connection_id == header.destination


class TestExporter:
    def test_both_ends_derive_the_same(self, pair):
        client, server = (side.engine.export_keying_material for side in pair.sides)
        secret = client(b"EXPORTER-qsh-session-id", b"", 32)
        assert len(secret) == 32
        assert secret == server(b"EXPORTER-qsh-session-id", b"", 32)
        assert client(b"EXPORTER-qsh-session-id", b"context", 32) != secret
        assert client(b"EXPORTER-other", b"context", 80) == server(
            b"EXPORTER-other", b"context", 80
        )

    def test_each_connection_has_its_own(self, engines):
        exports = {
            Pair(engines).handshake().client.engine.export_keying_material(b"label", b"", 32)
            for _ in range(2)
        }
        assert len(exports) == 2

    def test_there_is_none_before_the_handshake(self, engines):
        pair = Pair(engines)
        for side in pair.sides:
            with pytest.raises(LocalProtocolError):
                side.engine.export_keying_material(b"label", b"", 32)


class TestConnectionIds:
    def test_all_ids_of_ours_come_from_the_configuration(self, engines):
        """A server routes by them: one that it did not issue would reach nobody."""
        issued = {"client": [], "server": []}
        pair = Pair(
            engines,
            client_config=config(new_id=record_ids(issued["client"])),
            server_config=config(new_id=record_ids(issued["server"])),
        ).handshake()
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 10_000, True)
        pair.run(2)
        ids = {name: {i.connection_id for i in given} for name, given in issued.items()}
        assert {LongHeader.read(p).source for p in pair.sent("server") if is_long(p)} <= ids[
            "server"
        ]
        assert {LongHeader.read(p).source for p in pair.sent("client") if is_long(p)} <= ids[
            "client"
        ]
        short = [p for p in pair.sent("client") if not is_long(p)]
        assert {destination_id(p) for p in short} <= ids["server"]
        assert {destination_id(p) for p in pair.sent("server")} <= ids["client"]

    def test_a_stateless_reset_ends_the_connection(self, engines):
        """RFC 9000 section 10.3: how a server that lost its state tells the client."""
        issued = []
        pair = Pair(engines, server_config=config(new_id=record_ids(issued))).handshake()
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x")
        pair.run(1)
        tokens = {i.connection_id: i.reset_token for i in issued}
        used = destination_id([p for p in pair.sent("client") if not is_long(p)][-1])
        for token in (bytes(16), tokens[used]):
            assert not pair.client.closed
            reset = stateless_reset(token)
            pair.client.engine.receive_datagrams(reset, len(reset), pair.server.address, pair.now)
            pair.client.collect()
        assert pair.client.closed == ConnectionClosed(0, "stateless reset", False, False)


class TestEnd:
    def test_close_carries_code_and_reason(self, pair):
        pair.client.engine.close(11, "by äpplication", pair.now)
        assert pair.run(2, lambda: pair.client.closed and pair.server.closed)
        assert pair.client.closed == ConnectionClosed(11, "by äpplication", True, True)
        assert pair.server.closed == ConnectionClosed(11, "by äpplication", True, False)
        pair.run(5)

    def test_after_the_end_nothing_is_taken(self, pair):
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.close(11, "", pair.now)
        pair.client.engine.close(12, "again", pair.now)
        pair.run(5)
        for side in pair.sides:
            with pytest.raises(LocalProtocolError):
                side.engine.open_stream()
            side.engine.send_stream_data(stream_id, b"x")
            side.engine.reset_stream(stream_id, 1)
            side.engine.stop_stream(stream_id, 1)
            side.engine.consume(stream_id, 10)
            side.engine.raise_credit()
            assert side.engine.stream_unsent(stream_id) == 0
            assert side.engine.datagrams_to_send(pair.now) == []
            assert side.closed.code == 11

    def test_an_endless_reason_is_cut(self, pair):
        pair.client.engine.close(11, "ö" * 5000, pair.now)
        assert pair.run(2, lambda: pair.server.closed)
        assert pair.server.closed.reason.startswith("öööö")

    def test_close_before_the_handshake(self, engines):
        pair = Pair(engines)
        pair.server.engine.close(2, "nobody came", pair.now)
        pair.client.engine.close(2, "gave up", pair.now)
        pair.run(3)
        assert pair.client.closed == ConnectionClosed(2, "gave up", True, True)

    def test_a_close_in_the_handshake_is_hidden(self, engines):
        """RFC 9000 section 10.2.3: strangers learn neither code nor reason."""
        pair = Pair(engines)
        pair.run(5, lambda: len(pair.sent("server")) > 0)
        pair.server.engine.close(12, "too many connections", pair.now)
        assert pair.run(5, lambda: pair.client.closed)
        assert not pair.client.closed.local

    def test_silence_ends_the_connection(self, engines):
        limits = config(idle_timeout=20.0)
        pair = Pair(engines, client_config=limits, server_config=limits).handshake()
        pair.link.cut = True
        pair.run(15)
        assert not pair.client.closed
        pair.run(10)
        for side in pair.sides:
            end = side.closed
            assert (end.code, end.reason, end.by_application) == (0, "idle timeout", False)
            assert side.engine.get_timer() is None or side.engine.get_timer() > pair.now

    def test_a_client_that_nobody_answers_gives_up(self, engines):
        pair = Pair(engines, Link(cut=True), client_config=config(idle_timeout=10.0))
        pair.run(30)
        assert pair.client.closed.reason == "idle timeout"
        assert len(pair.sent("client")) >= 4

    def test_keep_alive_keeps_alive(self, engines):
        limits = config(idle_timeout=20.0)
        keeping = config(idle_timeout=20.0, keep_alive=7.0)
        pair = Pair(engines, client_config=keeping, server_config=limits).handshake()
        before = len(pair.log)
        pair.run(100)
        assert not pair.client.closed
        assert not pair.server.closed
        assert len(pair.log) - before < 80, "quiet when idle"

    def test_a_quiet_connection_sends_nothing(self, pair):
        pair.run(5)
        before = len(pair.log)
        pair.run(60)
        assert len(pair.log) == before


class TestPath:
    def test_a_client_behind_a_new_address_is_followed(self, pair):
        """A NAT forgot the client and gave it another port (RFC 9000 section 9.3.1)."""
        client, server = pair.sides
        stream_id = client.engine.open_stream()
        client.engine.send_stream_data(stream_id, b"before")
        pair.run(1)
        client.address = ("192.0.2.1", 50000)
        client.engine.send_stream_data(stream_id, b", after")
        pair.run(0.5)
        if server.of(PathTried):
            client.engine.send_datagrams([bytes(1000)])
        assert pair.run(5, lambda: server.of(PathChanged) == [PathChanged(client.address)])
        assert server.engine.stats.remote == client.address
        server.engine.send_stream_data(stream_id, b"found you")
        assert pair.run(2, lambda: client.received.get(stream_id) == b"found you")
        assert server.received[stream_id] == b"before, after"

    def test_the_first_path_is_no_change(self, pair):
        assert not pair.client.of(PathChanged)
        assert not pair.server.of(PathChanged)

    def test_datagrams_keep_to_the_size_they_are_given(self, pair):
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 50_000)
        first = pair.client.engine.datagrams_to_send(pair.now)[0]
        assert first.segment_size >= 1200
        assert pair.client.engine.stats.datagram_size >= 1200

    def test_a_path_that_takes_only_small_datagrams_heals(self, engines):
        large = config(max_datagram_size=1452)
        pair = Pair(engines, Link(mtu=1500), large, large).handshake()
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 100_000)
        assert pair.run(5, lambda: len(pair.server.received.get(stream_id, b"")) == 100_000)
        pair.link.mtu = 1280
        pair.client.engine.send_stream_data(stream_id, b"y" * 100_000)
        assert pair.run(20, lambda: len(pair.server.received[stream_id]) == 200_000)

    def test_stats_tell_what_happened(self, pair):
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 100_000)
        pair.run(10)
        sent, got = pair.client.engine.stats, pair.server.engine.stats
        assert sent.bytes_sent == sum(map(len, pair.sent("client")))
        assert got.bytes_received == sent.bytes_sent
        assert got.packets_received >= 80
        assert sent.packets_sent >= 80
        assert sent.packets_lost == 0
        assert 0.0199 < sent.smoothed_rtt < 0.1
        assert sent.latest_rtt > 0
        assert sent.congestion_window >= 2400
        assert sent.bytes_in_flight == 0
        assert sent.remote == pair.server.address

    def test_losses_are_counted(self, engines):
        pair = Pair(engines, Link(loss=0.1, seed=2)).handshake()
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 200_000)
        pair.run(30)
        assert pair.client.engine.stats.packets_lost > 3


class TestGarbage:
    def test_an_engine_that_has_heard_nothing_is_quiet(self, engines):
        server = Pair(engines).server.engine
        assert server.datagrams_to_send(1000.0) == []
        assert server.next_event() is None
        if server.get_timer() is not None:
            server.handle_timer(server.get_timer())

    def test_noise_changes_nothing(self, pair):
        noise = [b"", b"\x00", b"\x40" * 20, b"\xc0" * 1200, b"\xff" * 65_000, bytes(1200)]
        noise += [p[: len(p) // 2] for _, _, p in pair.log]
        noise += [p[:20] + b"\x00" * 50 for _, _, p in pair.log]
        for side in pair.sides:
            for datagram in noise:
                side.engine.receive_datagrams(
                    datagram, len(datagram), pair.other(side).address, pair.now
                )
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"still here")
        assert pair.run(2, lambda: pair.server.received.get(stream_id) == b"still here")

    def test_replayed_packets_change_nothing(self, pair):
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"once")
        pair.run(1)
        for _, sender, datagram in list(pair.log):
            side = pair.server if sender == "client" else pair.client
            side.engine.receive_datagrams(
                datagram, len(datagram), pair.other(side).address, pair.now
            )
        pair.run(1)
        assert pair.server.received[stream_id] == b"once"
        assert not pair.client.closed
        assert not pair.server.closed

    def test_strangers_cannot_speak_for_the_server(self, pair):
        """RFC 9000 section 9: a client drops what comes from another address."""
        datagram = pair.sent("server")[0]
        pair.client.engine.receive_datagrams(datagram, len(datagram), ("203.0.113.9", 1), pair.now)
        assert pair.client.engine.stats.remote == pair.server.address
