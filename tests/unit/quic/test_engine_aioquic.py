"""What only the aioquic engine promises, or needs to have tested from within."""

import hashlib
import hmac

import pytest
from aioquic import tls
from aioquic.buffer import encode_uint_var
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder

from qsh.errors import ConfigError
from qsh.quic import engine_aioquic, engine_aioquic_connection, engine_aioquic_credit
from qsh.quic.engine import ServerIdentity, available
from qsh.quic.engine_aioquic_keys import Exporter
from qsh.quic.events import HandshakeCompleted
from qsh.quic.identity import new_identity_key
from tests.unit.quic.simulation import Link, Pair, config, identity

BOTH = ("aioquic", "aioquic")


def send_frames(pair, side, frames):
    """Let `side` send a 1-RTT packet of our own making, correctly encrypted."""
    connection = side.engine._connection
    builder = QuicPacketBuilder(
        host_cid=connection.host_cid,
        peer_cid=connection._peer_cid.cid,
        version=1,
        is_client=connection._is_client,
        max_datagram_size=1200,
        packet_number=connection._packet_number,
    )
    builder.start_packet(QuicPacketType.ONE_RTT, connection._cryptos[tls.Epoch.ONE_RTT])
    builder.start_frame(frames[0], capacity=len(frames)).push_bytes(frames[1:])
    datagrams, _ = builder.flush()
    connection._packet_number += 1
    for datagram in datagrams:
        pair.send(side, datagram)
    pair.run(0.1)


def numbers(*values):
    return b"".join(encode_uint_var(value) for value in values)


class TestTrust:
    @pytest.mark.parametrize("client", available())
    def test_a_certificate_without_its_key_is_refused(self, client):
        """The server shows a genuine, attested certificate but cannot sign with its key."""
        liar = ServerIdentity(identity().certificate_der, new_identity_key().private_key_der)
        pair = Pair((client, "aioquic"), identity=liar)
        assert pair.run(5, lambda: pair.client.closed)
        assert not pair.client.handshaken
        assert not pair.server.handshaken
        assert pair.client.engine.peer_certificate is None
        assert (pair.client.closed.by_application, pair.client.closed.local) == (False, True)

    def test_the_handshake_needs_one_group_only(self):
        pair = Pair(BOTH).handshake()
        assert pair.client.of(HandshakeCompleted)[0].key_exchange == "X25519"

    def test_exporter_secret_is_that_of_rfc_8448(self):
        """RFC 8448 section 3: the master secret and transcript of its 1-RTT handshake."""
        master = "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919"
        transcript = "9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13"
        expected = "fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50"
        assert derive(bytes.fromhex(master), b"exp master", bytes.fromhex(transcript)) == (
            bytes.fromhex(expected)
        )

    def test_exporter_agrees_with_another_computation(self, monkeypatch):
        """hmac and hashlib alone, from the master secret and the handshake messages."""
        seen = []

        class Spy(Exporter):
            def __init__(self, context):
                schedule = context.key_schedule
                seen.append((schedule.secret, schedule.hash.copy().finalize()))
                super().__init__(context)

        monkeypatch.setattr(engine_aioquic_connection, "Exporter", Spy)
        pair = Pair(BOTH).handshake()
        assert seen[0] == seen[1], "both ends look at the same transcript"
        secret, transcript = seen[0]
        export = pair.client.engine.export_keying_material(b"EXPORTER-x", b"context", 100)
        assert export == exported(secret, transcript, b"EXPORTER-x", b"context", 100)

    def test_the_transcript_ends_with_the_servers_finished(self, monkeypatch):
        """RFC 8446 section 7.1: ClientHello...server Finished, counted from what was hashed."""
        messages, at_export = [], []
        update = tls.KeySchedule.update_hash

        def record(self, data):
            messages.append((id(self), data[0]))
            update(self, data)

        class Spy(Exporter):
            def __init__(self, context):
                schedule = id(context.key_schedule)
                at_export.append([kind for owner, kind in messages if owner == schedule])
                super().__init__(context)

        monkeypatch.setattr(tls.KeySchedule, "update_hash", record)
        monkeypatch.setattr(engine_aioquic_connection, "Exporter", Spy)
        Pair(BOTH).handshake()
        hellos_to_finished = [1, 2, 8, 11, 15, 20]
        assert at_export == [hellos_to_finished, hellos_to_finished]


def derive(secret, label, context, length=None):
    """HKDF-Expand-Label (RFC 8446 section 7.1), with the hash that fits the secret."""
    name = {32: "sha256", 48: "sha384"}[len(secret)]
    length = length or len(secret)
    full = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(secret, block + info + bytes([counter]), name)
        output, counter = output + block, counter + 1
    return output[:length]


def exported(master, transcript, label, context, length):
    hashed = hashlib.sha384 if len(master) == 48 else hashlib.sha256
    secret = derive(derive(master, b"exp master", transcript), label, hashed(b"").digest())
    return derive(secret, b"exporter", hashed(context).digest(), length)


class TestCredit:
    def test_a_reader_that_does_not_consume_stops_the_sender(self, monkeypatch):
        monkeypatch.setattr(engine_aioquic_credit, "STREAM_WINDOW", 50_000)
        monkeypatch.setattr(engine_aioquic, "STREAM_WINDOW", 50_000)
        pair = Pair(BOTH).handshake()
        pair.server.consumes = False
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 200_000)
        pair.run(5)
        assert len(pair.server.received[stream_id]) == 50_000
        pair.server.engine.consume(stream_id, 30_000)
        pair.run(5)
        assert len(pair.server.received[stream_id]) == 80_000
        pair.server.engine.consume(stream_id, 1 << 40)
        pair.run(5)
        assert len(pair.server.received[stream_id]) == 130_000

    def test_a_stopped_stream_holds_no_credit_of_others(self, monkeypatch):
        monkeypatch.setattr(engine_aioquic_credit, "CONNECTION_WINDOW", 60_000)
        pair = Pair(BOTH).handshake()
        pair.server.consumes = False
        for _ in range(5):
            stream_id = pair.client.engine.open_stream()
            pair.client.engine.send_stream_data(stream_id, b"x" * 50_000)
            pair.run(2)
            assert len(pair.server.received[stream_id]) == 50_000
            pair.server.engine.stop_stream(stream_id, 1)
            pair.run(1)

    def test_a_reset_stream_holds_no_credit_of_others(self, monkeypatch):
        monkeypatch.setattr(engine_aioquic_credit, "CONNECTION_WINDOW", 60_000)
        pair = Pair(BOTH, Link(loss=0.05)).handshake()
        for _ in range(8):
            stream_id = pair.client.engine.open_stream()
            pair.client.engine.send_stream_data(stream_id, b"x" * 50_000)
            pair.run(0.05)
            pair.client.engine.reset_stream(stream_id, 1)
            pair.run(1)
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 50_000, True)
        assert pair.run(30, lambda: stream_id in pair.server.finished)

    def test_few_streams_before_the_credit_is_raised(self):
        pair = Pair(BOTH)
        for _ in range(100):
            stream_id = pair.client.engine.open_stream()
            pair.client.engine.send_stream_data(stream_id, b"x")
        pair.run(3)
        assert len(pair.server.received) == engine_aioquic_credit.PRE_LOGIN_STREAMS
        pair.server.engine.raise_credit()
        assert pair.run(3, lambda: len(pair.server.received) == 100)


class TestSending:
    def test_larger_priority_goes_first(self):
        pair = Pair(BOTH).handshake()
        bulk, shell = pair.client.engine.open_stream(), pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(bulk, b"b" * 2_000_000)
        pair.run(0.2)
        pair.client.engine.set_priority(shell, 2)
        pair.client.engine.send_stream_data(shell, b"k" * 20_000)
        sent_before = pair.client.engine.stream_unsent(bulk)
        assert pair.run(5, lambda: pair.client.engine.stream_unsent(shell) == 0)
        # Nothing of the bulk went while the shell had something to send, but to fill a packet.
        assert sent_before - pair.client.engine.stream_unsent(bulk) <= 2400

    def test_keys_are_changed_before_they_are_worn_out(self, monkeypatch):
        monkeypatch.setattr(engine_aioquic_connection, "KEY_UPDATE_PACKETS", 50)
        pair = Pair(BOTH, Link(loss=0.02)).handshake()
        phases = set()
        for side in pair.sides:
            stream_id = side.engine.open_stream()
            side.engine.send_stream_data(stream_id, b"x" * 300_000, True)
            receiver = pair.other(side)
            while stream_id not in receiver.finished:
                pair.run(0.05)
                phases.add(receiver.engine._connection._cryptos[tls.Epoch.ONE_RTT].recv.secret)
        assert len(phases) > 4
        assert not pair.client.closed
        assert not pair.server.closed

    def test_large_datagrams_are_used_when_configured(self):
        large = config(max_datagram_size=1452)
        pair = Pair(BOTH, client_config=large, server_config=large).handshake()
        pair.client.engine.send_stream_data(pair.client.engine.open_stream(), b"x" * 9000)
        assert pair.client.engine.datagrams_to_send(pair.now)[0].segment_size == 1452
        assert pair.client.engine.max_datagram_payload == 1452 - 38

    def test_unknown_congestion_control_is_a_configuration_error(self):
        with pytest.raises(ConfigError, match="vegas"):
            Pair(BOTH, client_config=config(congestion_control="vegas"))
        for name in ("reno", "bbr"):
            Pair(BOTH, client_config=config(congestion_control=name)).handshake()

    def test_secrets_are_logged_only_on_demand(self, tmp_path):
        path = tmp_path / "keys"
        Pair(BOTH, client_config=config(key_log=str(path))).handshake()
        assert "CLIENT_TRAFFIC_SECRET_0" in path.read_text()


class TestHostility:
    """Peers that speak QUIC well enough to be decrypted, and then do harm."""

    def hostile(self):
        pair = Pair(BOTH).handshake()
        return pair, pair.client

    def assert_only_this_connection_ended(self, pair, code=None):
        assert pair.server.closed
        assert pair.server.closed.local
        assert not pair.server.closed.by_application
        assert code is None or pair.server.closed.code == code
        pair.run(5)

    def test_holes_in_a_stream_are_bounded(self, monkeypatch):
        monkeypatch.setattr(engine_aioquic_connection, "MAX_STREAM_HOLES", 50)
        pair, client = self.hostile()
        for start in range(0, 400, 100):
            frames = b"".join(
                b"\x0e" + numbers(0, 2 * n + 2, 1) + b"x" for n in range(start, start + 100)
            )
            send_frames(pair, client, frames)
        self.assert_only_this_connection_ended(pair)

    def test_tls_messages_are_bounded(self):
        pair, client = self.hostile()
        send_frames(pair, client, b"\x06" + numbers(100_000, 1) + b"x")
        self.assert_only_this_connection_ended(pair, 0x0D)

    def test_data_beyond_the_credit_is_an_error(self):
        pair, client = self.hostile()
        send_frames(pair, client, b"\x0e" + numbers(0, 1 << 40, 1) + b"x")
        self.assert_only_this_connection_ended(pair, 0x03)

    def test_too_many_streams_are_an_error(self):
        pair, client = self.hostile()
        send_frames(pair, client, b"\x0a" + numbers(4 * 5000, 1) + b"x")
        self.assert_only_this_connection_ended(pair, 0x04)

    def test_retiring_every_id_at_once_is_survived(self):
        """aioquic 1.7 raises IndexError here: no ID is left to change to."""
        pair, client = self.hostile()
        frame = b"\x18" + numbers(7, 7) + bytes([8]) + b"12345678" + bytes(16)
        send_frames(pair, client, frame + b"\x18" + numbers(7, 7) + bytes([8]) + bytes(24))
        repeated = b"\x18" + numbers(5, 5) + bytes([8]) + b"87654321" + bytes(16)
        send_frames(pair, client, repeated)
        pair.run(1)

    def test_no_word_of_it_reaches_stderr(self, capfd):
        pair, client = self.hostile()
        send_frames(pair, client, b"\x0e" + numbers(0, 1 << 40, 1) + b"x")
        self.assert_only_this_connection_ended(pair)
        assert capfd.readouterr().err == ""

    def test_frames_cut_short_are_errors(self):
        for kind in range(0x1F):
            pair, client = self.hostile()
            send_frames(pair, client, bytes([kind]) + b"\xff" * 3)
            pair.run(1)

    def test_a_fault_inside_aioquic_ends_the_connection_and_nothing_else(self):
        pair, client = self.hostile()

        def fault(*_):
            raise ZeroDivisionError

        pair.server.engine._connection._QuicConnection__frame_handlers[0x0A] = (
            fault,
            frozenset([tls.Epoch.ONE_RTT]),
        )
        send_frames(pair, client, b"\x0a" + numbers(0, 1) + b"x")
        self.assert_only_this_connection_ended(pair, 1)
        assert pair.server.closed.reason == "internal error"
        assert pair.client.closed

    def test_an_unauthenticated_fault_ends_nothing(self, monkeypatch):
        pair, _ = self.hostile()

        def fault(*_, **__):
            raise ZeroDivisionError

        with monkeypatch.context() as patched:
            patched.setattr("aioquic.quic.connection.pull_quic_header", fault)
            pair.server.engine.receive_datagrams(b"x" * 50, 50, pair.client.address, pair.now)
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"fine")
        assert pair.run(2, lambda: pair.server.received.get(stream_id) == b"fine")
