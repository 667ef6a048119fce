"""What every engine must do when its side moves, and when silence is to be broken."""

import pytest

from qsh.quic.events import PathChanged, PathTried
from tests.unit.quic.packets import destination_id, is_long
from tests.unit.quic.simulation import Link, Pair, config

pytestmark = pytest.mark.no_cover  # it would take seven times as long

ELSEWHERE = ("198.51.100.7", 50000)


def patient(engines, link=None):
    """A pair that bears silence for long."""
    limits = config(idle_timeout=3600.0)
    return Pair(engines, link, limits, limits).handshake()


class TestMigration:
    def test_it_moves_at_once_with_nothing_to_say(self, pair):
        """Also when no key is pressed: the server must learn where to send output."""
        client, server = pair.sides
        pair.run(1)
        client.address = ELSEWHERE
        client.engine.migrate(pair.now)
        before = pair.now
        assert pair.run(1, lambda: server.of(PathChanged) == [PathChanged(ELSEWHERE)])
        assert pair.now - before < 4 * pair.link.latency

    def test_the_new_path_sees_a_new_connection_id(self, pair):
        """RFC 9000 section 9.5: who watches both paths shall not know that they are one."""
        pair.run(1)
        old = {destination_id(p) for p in pair.sent("client") if not is_long(p)}
        pair.log.clear()
        pair.client.address = ELSEWHERE
        pair.client.engine.migrate(pair.now)
        pair.run(1)
        assert pair.sent("client")
        assert not old & {destination_id(p) for p in pair.sent("client")}

    def test_output_finds_the_client_within_two_round_trips(self, engines):
        pair = patient(engines, Link(latency=0.05))
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"tail -f")
        pair.run(1)
        pair.link.cut = True
        pair.server.engine.send_stream_data(stream_id, b"while it was away")
        pair.run(3)
        pair.link.cut = False
        pair.client.address = ELSEWHERE
        pair.client.engine.migrate(pair.now)
        before = pair.now
        assert pair.run(3, lambda: stream_id in pair.client.received)
        assert pair.now - before < 0.25

    def test_a_transfer_survives_every_move(self, engines):
        pair = patient(engines, Link(latency=0.02, loss=0.01))
        up, down = bytes(range(256)) * 4000, bytes(range(255, -1, -1)) * 4000
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, up, True)
        pair.run(0.1)
        pair.server.engine.send_stream_data(stream_id, down, True)
        for number in range(12):  # more often than there are connection IDs at a time
            pair.run(0.15)
            pair.client.address = (f"198.51.100.{number}", 50000)
            pair.client.engine.migrate(pair.now)
        sides = pair.sides
        assert pair.run(120, lambda: all(stream_id in side.finished for side in sides))
        assert pair.server.received[stream_id] == up
        assert pair.client.received[stream_id] == down

    def test_what_was_learned_about_the_old_path_is_forgotten(self, engines):
        """RFC 9000 section 9.4."""
        pair = patient(engines, Link(latency=0.5))
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 300_000)
        pair.run(20)
        assert pair.client.engine.stats.smoothed_rtt > 0.9
        pair.link.latency = 0.01
        pair.client.address = ELSEWHERE
        pair.client.engine.migrate(pair.now)
        pair.run(1)
        assert pair.client.engine.stats.smoothed_rtt < 0.2
        assert pair.client.engine.stats.congestion_window < 100_000

    def test_before_the_handshake_nobody_moves(self, engines):
        pair = Pair(engines)
        pair.client.engine.migrate(pair.now)
        pair.server.engine.kick(pair.now)
        pair.handshake()

    def test_after_the_end_nobody_moves(self, pair):
        pair.client.engine.close(11, "", pair.now)
        pair.run(5)
        for side in pair.sides:
            side.engine.migrate(pair.now)
            side.engine.kick(pair.now)
            assert side.engine.datagrams_to_send(pair.now) == []


class TestCongestionControl:
    def test_it_changes_under_way(self, engines):
        """From cubic to bbr, which does not take single losses for congestion."""
        pair = patient(engines, Link(latency=0.02, loss=0.02))
        other = patient(engines, Link(latency=0.02, loss=0.02))
        assert other.client.engine.use_congestion_control("bbr", other.now)
        before, after = (carried(each, 5) for each in (pair, other))
        assert after > 3 * before

    def test_an_unknown_one_changes_nothing(self, pair):
        assert not pair.client.engine.use_congestion_control("nonesuch", pair.now)


def carried(pair, seconds):
    """Bytes of a bulk transfer that arrive in that time."""
    stream_id = pair.client.engine.open_stream()
    pair.client.engine.send_stream_data(stream_id, bytes(20_000_000))
    pair.run(seconds)
    return len(pair.server.received.get(stream_id, b""))


FOREIGN = ("203.0.113.9", 40000)


class TestNewAddress:
    """Three times what came from an address is all it gets until it is proved (RFC 9000 section
    8.1), and a keystroke's echo is within that."""

    def start(self, engines):
        pair = patient(engines, Link(latency=0.05))
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"begin")
        pair.run(2)
        return pair, stream_id

    def sent_to(self, pair, address):
        """The server's bytes to there; they go nowhere."""
        sent = 0
        for transmit in pair.server.engine.datagrams_to_send(pair.now):
            sent += len(transmit.data) if transmit.remote == address else 0
        return sent

    def test_a_key_is_echoed_at_once(self, engines):
        pair, stream_id = self.start(engines)
        pair.client.address = FOREIGN
        pair.client.engine.send_stream_data(stream_id, b"k")
        assert pair.run(1, lambda: pair.server.received[stream_id] == b"begink")
        before = pair.now
        pair.server.engine.send_stream_data(stream_id, b"echo")
        assert pair.run(1, lambda: pair.client.received.get(stream_id) == b"echo")
        assert pair.now - before < 0.06

    def test_never_more_than_three_times_what_came(self, engines):
        pair, stream_id = self.start(engines)
        pair.client.engine.send_stream_data(stream_id, b"k")
        [key] = pair.client.engine.datagrams_to_send(pair.now)
        pair.server.engine.receive_datagrams(key.data, key.segment_size, FOREIGN, pair.now)
        pair.server.engine.send_stream_data(stream_id, b"echo")
        sent = self.sent_to(pair, FOREIGN)
        pair.server.engine.send_stream_data(stream_id, bytes(100_000))
        for _ in range(50):
            sent += self.sent_to(pair, FOREIGN)
            pair.now += 0.1
            pair.server.engine.handle_timer(pair.now)
        assert 0 < sent <= 3 * len(key.data)

    def test_what_did_not_fit_follows_when_there_is_room(self, engines):
        """And is not lost until somebody misses it."""
        pair, stream_id = self.start(engines)
        pair.client.address = FOREIGN
        pair.client.engine.send_stream_data(stream_id, b"k")
        assert pair.run(1, lambda: pair.server.received[stream_id] == b"begink")
        pair.server.engine.send_stream_data(stream_id, bytes(400))
        pair.flush(pair.server)
        pair.client.engine.send_datagrams([bytes(1000)])
        before = pair.now
        assert pair.run(1, lambda: len(pair.client.received.get(stream_id, b"")) == 400)
        assert pair.now - before < 0.12

    def test_a_packet_of_the_old_path_calls_the_server_back(self, engines):
        pair, stream_id = self.start(engines)
        home = pair.client.address
        for address, key in ((FOREIGN, b"a"), (home, b"b")):
            pair.client.address = address
            pair.client.engine.send_stream_data(stream_id, key)
            pair.flush(pair.client)
        pair.client.address = home
        pair.run(0.051)
        pair.server.engine.send_stream_data(stream_id, b"echo")
        assert pair.run(2, lambda: pair.client.received.get(stream_id) == b"echo")
        assert pair.server.engine.stats.remote == home

    def test_what_no_key_opens_moves_nothing(self, engines):
        pair, stream_id = self.start(engines)
        pair.client.engine.send_stream_data(stream_id, b"k")
        [key] = pair.client.engine.datagrams_to_send(pair.now)
        forged = key.data[:-1] + bytes((key.data[-1] ^ 1,))
        pair.server.engine.receive_datagrams(forged, len(forged), FOREIGN, pair.now)
        pair.server.engine.send_stream_data(stream_id, b"x")
        assert self.sent_to(pair, FOREIGN) == 0
        pair.server.collect()
        assert not pair.server.of(PathTried)

    def test_a_captured_packet_moves_nothing(self, engines):
        pair, stream_id = self.start(engines)
        pair.client.engine.send_stream_data(stream_id, b"k")
        [key] = pair.client.engine.datagrams_to_send(pair.now)
        pair.server.engine.receive_datagrams(key.data, len(key.data), pair.client.address, pair.now)
        pair.server.engine.receive_datagrams(key.data, len(key.data), FOREIGN, pair.now)
        pair.server.engine.send_stream_data(stream_id, b"x")
        assert self.sent_to(pair, FOREIGN) == 0


class TestKick:
    def test_it_makes_the_peer_answer(self, pair):
        pair.run(5)
        pair.log.clear()
        pair.client.engine.kick(pair.now)
        pair.run(1)
        assert len(pair.sent("client")) == 1
        assert len(pair.sent("server")) == 1

    def test_after_an_outage_of_any_length_data_goes_on_in_two_round_trips(self, engines):
        pair = patient(engines, Link(latency=0.05))
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"before")
        pair.run(1)
        pair.link.cut = True
        pair.client.engine.send_stream_data(stream_id, b", after")
        pair.run(1500)
        pair.link.cut = False
        pair.client.engine.kick(pair.now)
        before = pair.now
        assert pair.run(5, lambda: pair.server.received.get(stream_id) == b"before, after")
        assert pair.now - before < 0.25

    def test_a_full_window_does_not_hold_it_back(self, engines):
        pair = patient(engines, Link(latency=0.05))
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"x" * 100_000)
        pair.run(2)
        pair.link.cut = True
        pair.client.engine.send_stream_data(stream_id, b"y" * 2_000_000)
        pair.run(600)
        pair.log.clear()
        pair.client.engine.kick(pair.now)
        pair.flush(pair.client)
        assert 0 < sum(map(len, pair.sent("client"))) < 5000
        pair.link.cut = False
        pair.client.engine.kick(pair.now)
        assert pair.run(30, lambda: len(pair.server.received.get(stream_id, b"")) == 2_100_000)

    def test_silence_does_not_make_it_rarer(self, engines):
        """No back-off: every kick is a datagram, however many went unanswered."""
        pair = patient(engines)
        pair.link.cut = True
        pair.log.clear()
        for _ in range(50):
            pair.client.engine.kick(pair.now)
            pair.run(0.1)
        assert len(pair.sent("client")) >= 50
        assert not pair.client.closed


class TestWhatIsUnderWay:
    def test_a_keystroke_counts_until_it_is_acknowledged(self, pair):
        """Silence means something only while an answer is owed."""
        pair.run(2)
        assert pair.client.engine.stats.bytes_in_flight == 0
        stream_id = pair.client.engine.open_stream()
        pair.client.engine.send_stream_data(stream_id, b"k")
        pair.flush(pair.client)
        assert pair.client.engine.stats.bytes_in_flight > 0
        pair.run(2)
        assert pair.client.engine.stats.bytes_in_flight == 0

    def test_acknowledgements_do_not_count(self, pair):
        pair.run(2)
        pair.server.engine.kick(pair.now)
        pair.run(2)
        assert pair.client.engine.stats.bytes_in_flight == 0
        assert pair.server.engine.stats.bytes_in_flight == 0
