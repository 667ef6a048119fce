"""BBR for aioquic: what a path delivers is measured, and loss by itself slows nothing down.

draft-cardwell-iccrg-bbr-congestion-control-00 (version 1, as quinn's), with one change: the round
trip is probed at half of the path's content instead of four packets, as later versions do, so that
what runs inside a tunnel hardly feels it.
"""

# ruff: noqa: E402  aioquic is made light before it is imported

import math
from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic.quic.congestion.base import QuicCongestionControl, register_congestion_control
from aioquic.quic.packet_builder import QuicSentPacket

HIGH_GAIN = 2 / math.log(2)
"""The smallest that doubles what is delivered in each round."""
WINDOW_GAIN = 2.0
"""Times the path's content: acknowledgements come late and together."""
PROBE_GAINS = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""Each for one round trip: ask for more, drain the queue that this made, cruise."""
BANDWIDTH_ROUNDS = 10
FULL_ROUNDS = 3
FULL_GROWTH = 1.25
"""A path that delivers less than this times more in each of FULL_ROUNDS is full."""
MIN_RTT_SECONDS = 10.0
PROBE_RTT_SECONDS = 0.2
PROBE_RTT_GAIN = 0.5
LEAST_PACKETS = 4
QUANTUM_PACKETS = 16
"""That may leave at once, beside the window."""


class Phase(Enum):
    STARTUP = auto()
    DRAIN = auto()
    PROBE_BANDWIDTH = auto()
    PROBE_RTT = auto()


class Sent(NamedTuple):
    """What was known when a packet left (draft-cheng-iccrg-delivery-rate-estimation)."""

    delivered: int
    delivered_time: float
    first_sent_time: float
    is_limited: bool


class BandwidthFilter:
    """The highest rate, in bytes per second, of the last rounds that had something to say."""

    def __init__(self) -> None:
        self._best: deque[tuple[int, float]] = deque()

    @property
    def value(self) -> float:
        return self._best[0][1] if self._best else 0.0

    def update(self, number: int, rate: float) -> None:
        while self._best and self._best[-1][1] <= rate:
            self._best.pop()
        self._best.append((number, rate))
        while self._best[0][0] <= number - BANDWIDTH_ROUNDS:
            self._best.popleft()


class Bbr(QuicCongestionControl):
    """One connection's. Its connection tells when there is nothing more to send (`rest`), and its
    pacer asks for `pacing_rate`."""

    packets_lost = 0

    def __init__(self, *, max_datagram_size: int) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        self._max_datagram_size = max_datagram_size
        self._sent: dict[int, Sent] = {}
        self._delivered = 0
        self._delivered_time = 0.0
        self._first_sent_time = 0.0
        self._limited_until = -1
        """Delivered bytes up to which samples say how much there was to send, not more."""
        self._bandwidth = BandwidthFilter()
        self._min_rtt = math.inf
        self._min_rtt_time = 0.0
        self._probed_rtt = math.inf
        self._round = 0
        self._round_ends_at = 0
        self._full_bandwidth = 0.0
        self._full_rounds = 0
        self._phase = Phase.STARTUP
        self._cycle = 0
        self._phase_time = 0.0

    # ------------------------------------------------------------ what is asked

    @property
    def pacing_rate(self) -> float | None:
        """Bytes per second; None before anything was measured."""
        rate = self._bandwidth.value
        return self._pacing_gain * rate if rate else None

    @property
    def is_full(self) -> bool:
        """Whether the path has been found to give no more."""
        return self._full_rounds >= FULL_ROUNDS

    @property
    def _pacing_gain(self) -> float:
        match self._phase:
            case Phase.STARTUP:
                return HIGH_GAIN
            case Phase.DRAIN:
                return 1 / HIGH_GAIN
            case Phase.PROBE_BANDWIDTH:
                return PROBE_GAINS[self._cycle]
            case Phase.PROBE_RTT:
                return 1.0

    def _content(self, gain: float) -> int:
        """Bytes that the path holds, times a gain."""
        if not self._bandwidth.value or self._min_rtt == math.inf:
            return self.congestion_window
        return int(gain * self._bandwidth.value * self._min_rtt)

    # ------------------------------------------------------------ what happens

    def on_packet_sent(self, *, packet: QuicSentPacket) -> None:
        assert packet.sent_time is not None
        if not self.bytes_in_flight:
            self._first_sent_time = self._delivered_time = packet.sent_time
        self._sent[packet.packet_number] = Sent(
            self._delivered, self._delivered_time, self._first_sent_time,
            self._delivered <= self._limited_until,
        )  # fmt: skip
        self.bytes_in_flight += packet.sent_bytes

    def rest(self) -> None:
        """There was room in the window, and nothing to send."""
        self._limited_until = self._delivered + self.bytes_in_flight

    def on_packet_acked(self, *, now: float, packet: QuicSentPacket) -> None:
        self.bytes_in_flight -= packet.sent_bytes
        self._delivered += packet.sent_bytes
        self._delivered_time = now
        sent = self._sent.pop(packet.packet_number, None)
        if sent is None or packet.sent_time is None:  # of another controller's time
            return
        self._first_sent_time = packet.sent_time
        is_new_round = sent.delivered >= self._round_ends_at
        if is_new_round:
            self._round_ends_at = self._delivered
            self._round += 1
        self._sample(sent, packet.sent_time, now)
        if is_new_round and not sent.is_limited:
            self._check_full()
        self._change_phase(now)
        self._learn_round_trip(now - packet.sent_time, now)
        self._set_window(packet.sent_bytes)

    def _sample(self, sent: Sent, sent_time: float, now: float) -> None:
        interval = max(sent_time - sent.first_sent_time, now - sent.delivered_time)
        if interval <= 0:
            return
        rate = (self._delivered - sent.delivered) / interval
        if not sent.is_limited or rate >= self._bandwidth.value:
            self._bandwidth.update(self._round, rate)

    def _check_full(self) -> None:
        if self.is_full:
            return
        if self._bandwidth.value >= self._full_bandwidth * FULL_GROWTH:
            self._full_bandwidth, self._full_rounds = self._bandwidth.value, 0
        else:
            self._full_rounds += 1

    def _enter(self, phase: Phase, now: float) -> None:
        self._phase, self._phase_time, self._cycle = phase, now, 0

    def _change_phase(self, now: float) -> None:
        match self._phase:
            case Phase.STARTUP if self.is_full:
                self._enter(Phase.DRAIN, now)
            case Phase.DRAIN if self.bytes_in_flight <= self._content(1.0):
                self._enter(Phase.PROBE_BANDWIDTH, now)
            case Phase.PROBE_BANDWIDTH if self._is_cycle_over(now):
                self._cycle = (self._cycle + 1) % len(PROBE_GAINS)
                self._phase_time = now

    def _is_cycle_over(self, now: float) -> bool:
        if self._pacing_gain < 1 and self.bytes_in_flight <= self._content(1.0):
            return True
        return now - self._phase_time > self._min_rtt

    def _learn_round_trip(self, rtt: float, now: float) -> None:
        if rtt <= self._min_rtt:
            self._min_rtt, self._min_rtt_time = rtt, now
        if self._phase == Phase.PROBE_RTT:
            self._probe_round_trip(rtt, now)
        elif now > self._min_rtt_time + MIN_RTT_SECONDS and self._phase == Phase.PROBE_BANDWIDTH:
            self._enter(Phase.PROBE_RTT, now)
            self._probed_rtt = math.inf

    def _probe_round_trip(self, rtt: float, now: float) -> None:
        """The path is let run empty by what is known of it, and then looked at."""
        self._probed_rtt = min(self._probed_rtt, rtt)
        least = LEAST_PACKETS * self._max_datagram_size
        if self.bytes_in_flight > self._content(PROBE_RTT_GAIN) + least:
            self._phase_time = now
        elif now - self._phase_time > max(PROBE_RTT_SECONDS, self._min_rtt):
            self._min_rtt, self._min_rtt_time = self._probed_rtt, now
            self._enter(Phase.PROBE_BANDWIDTH, now)

    def _set_window(self, acknowledged: int) -> None:
        size = self._max_datagram_size
        is_probing = self._phase == Phase.PROBE_RTT
        gain = HIGH_GAIN if self._phase in (Phase.STARTUP, Phase.DRAIN) else WINDOW_GAIN
        aim = self._content(PROBE_RTT_GAIN if is_probing else gain)
        aim += 0 if is_probing else QUANTUM_PACKETS * size
        if self.is_full:
            self.congestion_window = min(self.congestion_window + acknowledged, aim)
        elif self.congestion_window < aim:
            self.congestion_window += acknowledged
        self.congestion_window = max(self.congestion_window, LEAST_PACKETS * size)

    def on_packets_expired(self, *, packets: Iterable[QuicSentPacket]) -> None:
        for packet in packets:
            self.bytes_in_flight -= packet.sent_bytes
            self._sent.pop(packet.packet_number, None)

    def on_packets_lost(self, *, now: float, packets: Iterable[QuicSentPacket]) -> None:
        lost = list(packets)
        self.packets_lost += sum(p.sent_bytes <= self._max_datagram_size for p in lost)
        self.on_packets_expired(packets=lost)

    def on_persistent_congestion(self) -> None:
        self.congestion_window = LEAST_PACKETS * self._max_datagram_size

    def on_rtt_measurement(self, *, now: float, rtt: float) -> None:
        """Nothing: each packet's own time is looked at."""


register_congestion_control("qsh-bbr", Bbr)
