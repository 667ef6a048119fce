"""aioquic's congestion controllers, counting lost packets, and a pacer with fewer wake-ups."""

# ruff: noqa: E402  aioquic is made light before it is imported

from collections.abc import Iterable

from qsh.errors import ConfigError
from qsh.lazy import light_aioquic
from qsh.quic.engine_aioquic_bbr import Bbr

light_aioquic()

from aioquic.quic.congestion.base import (
    QuicCongestionControl,
    register_congestion_control,
)
from aioquic.quic.congestion.cubic import CubicCongestionControl
from aioquic.quic.congestion.reno import RenoCongestionControl
from aioquic.quic.packet_builder import QuicSentPacket
from aioquic.quic.recovery import QuicPacketPacer, QuicPacketRecovery

GRANULARITY = 0.001
"""Seconds (RFC 9002 section 6.1.2)."""


class CountingCubic(CubicCongestionControl):
    """CUBIC (RFC 9438)."""

    packets_lost = 0

    def on_packets_lost(self, *, now: float, packets: Iterable[QuicSentPacket]) -> None:
        if lost := _not_too_large(self, packets):
            self.packets_lost += len(lost)
            super().on_packets_lost(now=now, packets=lost)


class CountingReno(RenoCongestionControl):
    """New Reno (RFC 9002 section 7)."""

    packets_lost = 0

    def on_packets_lost(self, *, now: float, packets: Iterable[QuicSentPacket]) -> None:
        if lost := _not_too_large(self, packets):
            self.packets_lost += len(lost)
            super().on_packets_lost(now=now, packets=lost)


Controller = CountingCubic | CountingReno | Bbr


def _not_too_large(
    controller: CubicCongestionControl | RenoCongestionControl, packets: Iterable[QuicSentPacket]
) -> list[QuicSentPacket]:
    """Lost packets without those that are larger than the path is known to take: their loss is no
    sign of congestion (RFC 9000 section 14.4)."""
    lost = list(packets)
    large = [packet for packet in lost if packet.sent_bytes > controller._max_datagram_size]
    if large:
        controller.on_packets_expired(packets=large)
        lost = [packet for packet in lost if packet.sent_bytes <= controller._max_datagram_size]
    return lost


class BurstPacer(QuicPacketPacer):
    """Waits for a burst's worth of time instead of one packet's.

    aioquic asks to be called again for every single packet, which at speed is a timer every 50 µs
    and no batch for UDP GSO. Its bucket holds at most 16 packets (RFC 9002 section 7.7 would allow
    the initial window); half of that is a fair burst. What is sent in between, such as a keystroke,
    does not wait: the bucket has filled a little by then. A controller that knows its rate is asked
    for it; for the others it is a window in each round trip.
    """

    controller: QuicCongestionControl | None = None

    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        if isinstance(self.controller, Bbr) and (rate := self.controller.pacing_rate):
            congestion_window = int(rate * smoothed_rtt) or 1
        super().update_rate(congestion_window, smoothed_rtt)
        # A millisecond's worth is what a timer can time, and what TCP hands over at once.
        self.bucket_max = max(self.bucket_max, GRANULARITY)

    def next_send_time(self, now: float) -> float:
        at = super().next_send_time(now=now)
        if at is None or self.packet_time is None:
            return at  # None: aioquic's annotation leaves out what it returns
        return now + max(self.packet_time, self.bucket_max / 2)


CONTROLLERS = ("cubic", "reno", "bbr")


def registered_name(name: str) -> str:
    """aioquic's name for one of CONTROLLERS. ConfigError for one it has not."""
    if name not in CONTROLLERS:
        known = ", ".join(CONTROLLERS)
        raise ConfigError(f"the engine aioquic has no congestion control {name!r} ({known})")
    return f"qsh-{name}"


def packets_lost(controller: QuicCongestionControl) -> int:
    """Packets that were declared lost since the connection began."""
    assert isinstance(controller, Controller)
    return controller.packets_lost


def pace(loss: QuicPacketRecovery, datagram_size: int) -> None:
    """Start pacing anew, by the controller in use."""
    loss._pacer = BurstPacer(max_datagram_size=datagram_size)
    loss._pacer.controller = loss._cc


def set_datagram_size(loss: QuicPacketRecovery, size: int) -> None:
    """Let the controller and the pacer know how large datagrams are from now on."""
    assert isinstance(loss._cc, Controller)
    loss._cc._max_datagram_size = size
    loss._pacer._max_datagram_size = size


def carry_over(old: QuicCongestionControl, new: QuicCongestionControl, now: float) -> None:
    """Let `new` take over what is in flight; the loss of what was sent until now is no sign of
    congestion to it."""
    assert isinstance(old, Controller)
    assert isinstance(new, Controller)
    new.packets_lost = old.packets_lost
    new.bytes_in_flight = old.bytes_in_flight
    if not isinstance(new, Bbr):
        new._congestion_recovery_start_time = now


register_congestion_control("qsh-cubic", CountingCubic)
register_congestion_control("qsh-reno", CountingReno)
