"""aioquic's BBR on a bottleneck of known rate: packets only, no engine. Times are virtual."""

import heapq
import random
from collections import deque

import pytest
from aioquic.quic.packet_builder import QuicPacketType, QuicSentPacket
from aioquic.tls import Epoch

from qsh.quic.engine_aioquic_bbr import LEAST_PACKETS, Bbr

pytestmark = pytest.mark.no_cover  # it would take seven times as long

SIZE = 1200


class Path:
    """A sender by BBR, a queue that is emptied at `rate` (bytes/s), and `rtt` (seconds) around."""

    def __init__(self, rate, rtt, loss=0.0, queue=200_000):
        self.rate, self.rtt, self.loss, self.queue = rate, rtt, loss, queue
        self.bbr = Bbr(max_datagram_size=SIZE)
        self.now = 1.0
        self.free_at = 0.0
        self.number = 0
        self.flying = []
        self.delivered = 0
        self.waits = deque(maxlen=1000)
        self.random = random.Random(1)
        self.next_send = 0.0

    def _send(self):
        number, self.number = self.number, self.number + 1
        packet = QuicSentPacket(Epoch.ONE_RTT, True, True, False, number, QuicPacketType.ONE_RTT,
                                self.now, SIZE)  # fmt: skip
        self.bbr.on_packet_sent(packet=packet)
        wait = max(self.free_at - self.now, 0)
        is_lost = self.random.random() < self.loss or wait * self.rate > self.queue
        if not is_lost:
            self.free_at = max(self.free_at, self.now) + SIZE / self.rate
            self.waits.append(wait)
        at = self.now + self.rtt + (0.02 if is_lost else max(self.free_at - self.now, 0))
        heapq.heappush(self.flying, (at, number, packet, is_lost))
        rate = self.bbr.pacing_rate
        self.next_send = max(self.next_send, self.now - 0.001) + (SIZE / rate if rate else 0)

    def _hear(self):
        self.now, _, packet, is_lost = heapq.heappop(self.flying)
        if is_lost:
            self.bbr.on_packets_lost(now=self.now, packets=[packet])
        else:
            self.delivered += SIZE
            self.bbr.on_packet_acked(now=self.now, packet=packet)

    def run(self, seconds, supply=None):
        """Bytes per second that arrive; `supply` is how many the sender has, where that bounds."""
        begin, before, end = self.now, self.delivered, self.now + seconds
        produced = 0.0
        while self.now < end:
            has_data = supply is None or produced + SIZE <= supply * (self.now - begin)
            has_room = self.bbr.bytes_in_flight + SIZE <= self.bbr.congestion_window
            if has_data and has_room and self.next_send <= self.now:
                self._send()
                produced += SIZE
                continue
            if not has_data and has_room:
                self.bbr.rest()
            due = [end]
            if self.flying:
                due.append(self.flying[0][0])
            if has_room:
                due.append(max(self.next_send, self.now) if has_data else self.now + 0.002)
            if self.flying and min(due) == self.flying[0][0]:
                self._hear()
            else:
                self.now = min(due)
        return (self.delivered - before) / seconds

    def usual_wait(self):
        return sorted(self.waits)[len(self.waits) // 2]


@pytest.mark.parametrize("rate", [100_000, 2_000_000])
@pytest.mark.parametrize("rtt", [0.01, 0.1])
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_it_fills_a_path_that_loses(rate, rtt, loss):
    path = Path(rate, rtt, loss)
    path.run(3)
    assert path.run(5) > 0.85 * rate * (1 - loss)


def test_its_queue_is_short():
    """Of a buffer of two seconds it uses less than two round trips."""
    path = Path(1_000_000, 0.05, queue=2_000_000)
    path.run(5)
    path.run(5)
    assert path.usual_wait() < 0.1


def test_who_has_little_to_say_does_not_forget_what_the_path_can():
    path = Path(1_000_000, 0.05, loss=0.01)
    path.run(5)
    path.run(30, supply=20_000)
    assert path.run(1) > 600_000


def test_a_path_that_narrows_and_widens_is_followed():
    path = Path(2_000_000, 0.04, loss=0.01)
    path.run(5)
    path.rate = 200_000
    path.run(4)
    assert path.run(2) > 150_000
    path.run(20)  # ten rounds, while the queue is full
    assert path.usual_wait() < 0.3
    path.rate = 2_000_000
    path.run(8)
    assert path.run(2) > 1_500_000


def test_a_round_trip_that_grew_is_believed_after_a_while():
    path = Path(1_000_000, 0.02)
    path.run(5)
    path.rtt = 0.2
    path.run(20)
    assert path.run(5) > 700_000


def test_loss_of_everything_leaves_a_few_packets():
    path = Path(1_000_000, 0.05)
    path.run(3)
    path.bbr.on_persistent_congestion()
    assert path.bbr.congestion_window == LEAST_PACKETS * SIZE
    path.run(1)
    assert path.run(2) > 800_000


def test_what_was_sent_under_another_controller_only_leaves_the_path():
    bbr = Bbr(max_datagram_size=SIZE)
    bbr.bytes_in_flight = SIZE
    bbr.on_packet_acked(now=2.0, packet=QuicSentPacket(
        Epoch.ONE_RTT, True, True, False, 7, QuicPacketType.ONE_RTT, 1.0, SIZE))  # fmt: skip
    assert bbr.bytes_in_flight == 0
    assert bbr.pacing_rate is None
