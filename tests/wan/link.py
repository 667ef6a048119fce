"""One direction of the emulated path: what it does to packets, and when it delivers them.

No I/O but the final write; time is passed in. Every packet meets the same stages, in this order:

    blackout?    -> dropped while the link is dead (on entry and on delivery)
    queue+rate   -> drop-tail queue drained at RATE (IP bytes count); too full: dropped
    random loss  -> dropped with probability LOSS, independently, after it used the link
    delay+jitter -> DELAY plus uniform +-JITTER; order is kept, so that dense traffic
                    sees the upper part of the jitter
    reorder      -> with probability REORDER it is held back REORDER-DELAY longer and
                    later packets overtake it
    duplicate    -> with probability DUPLICATE it is delivered twice

Each random decision has its own generator, seeded from the seed and the direction, so that
packet number n of a direction always meets the same fate.
"""

import collections
import dataclasses
import heapq
import itertools
import os
import random
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar


def parse_time(text: str) -> float:
    """'50ms', '2s', '300us' or a bare number of seconds -> seconds."""
    match = re.fullmatch(r"([0-9.]+)(us|ms|s|)", text)
    if not match:
        raise ValueError(f"not a time: {text!r} (e.g. 50ms, 2s)")
    return float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "": 1}[match[2]]


def parse_share(text: str) -> float:
    """'1%' or '0.01' -> probability."""
    share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if not 0 <= share <= 1:
        raise ValueError(f"not a probability: {text!r} (e.g. 1% or 0.01)")
    return share


def parse_rate(text: str) -> float:
    """'20mbit', '64kbit', '1gbit' or bits per second -> bits per second; 0 is unlimited."""
    match = re.fullmatch(r"([0-9.]+)(kbit|mbit|gbit|bit|)", text.lower())
    if not match:
        raise ValueError(f"not a rate: {text!r} (e.g. 20mbit)")
    return float(match[1]) * {"bit": 1, "": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}[match[2]]


def parse_queue(text: str) -> tuple[float | None, int | None]:
    """'100ms' -> (0.1, None): at most that much waiting; '500p' -> (None, 500): packets."""
    if text.endswith("p"):
        return None, int(text[:-1])
    return parse_time(text), None


@dataclasses.dataclass(frozen=True)
class Impairments:
    """What one direction does to packets. Times in seconds, rate in bit/s."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    rate: float = 0.0
    queue: tuple[float | None, int | None] = (0.1, None)
    reorder: float = 0.0
    reorder_delay: float = 0.005
    duplicate: float = 0.0

    PARSERS: ClassVar[dict[str, Callable[[str], Any]]] = {
        "delay": parse_time, "jitter": parse_time, "loss": parse_share, "rate": parse_rate,
        "queue": parse_queue, "reorder": parse_share, "reorder_delay": parse_time,
        "duplicate": parse_share,
    }  # fmt: skip

    def changed(self, settings: Iterable[str]) -> "Impairments":
        """A copy with 'key=value' strings applied."""
        values = {}
        for setting in settings:
            key, _, text = setting.partition("=")
            key = key.replace("-", "_")
            if key not in self.PARSERS:
                raise ValueError(f"no such impairment: {setting!r}")
            values[key] = self.PARSERS[key](text)
        return dataclasses.replace(self, **values)

    def __str__(self) -> str:
        seconds, packets = self.queue
        queue = f"{packets}p" if seconds is None else f"{seconds * 1e3:g}ms"
        rate = f"{self.rate / 1e6:g}mbit queue={queue}" if self.rate else "unlimited"
        return (
            f"delay={self.delay * 1e3:g}ms jitter={self.jitter * 1e3:g}ms "
            f"loss={self.loss * 100:g}% rate={rate} "
            f"reorder={self.reorder * 100:g}% (+{self.reorder_delay * 1e3:g}ms) "
            f"duplicate={self.duplicate * 100:g}%"
        )


COUNTERS = ("packets_in", "bytes_in", "packets_out", "bytes_out", "lost", "queue_full",
            "blackout", "filtered", "nat_dropped", "reordered", "duplicated", "write_errors",
            "late_1ms", "late_max_us")  # fmt: skip


UDP = 17


def is_udp(packet: bytes) -> bool:
    """Whether an IP packet carries UDP."""
    return packet[6 if packet[0] >> 4 == 6 else 9] == UDP


class Link:
    """One direction: takes packets at their time of entry, schedules their delivery.

    Scheduled packets go to `schedule`, a heap of (due, serial, link, packet) that both
    directions share; the forwarder pops it and calls `deliver`.
    """

    _serials = itertools.count()  # keeps packets with equal due times in order of entry

    def __init__(self, name: str, impairments: Impairments, seed: int, schedule: list[Any]) -> None:
        self.name = name
        self.impairments = impairments
        self.schedule = schedule
        self.out_fd = -1  # TUN device at the far end
        self.on_entry: Callable[[bytes], bytes | None] | None = None  # NAT
        self.on_delivery: Callable[[bytes], bytes | None] | None = None
        self.dead_until = 0.0
        self.drops_udp = False
        self.count = dict.fromkeys(COUNTERS, 0)
        self._busy_until = 0.0  # when the last queued packet will have left the queue
        self._departures: collections.deque[float] = collections.deque()  # of a '500p' queue
        self._last_due = 0.0
        self._loss, self._jitter, self._reorder, self._duplicate = (
            random.Random(f"{seed}/{name}/{what}").random
            for what in ("loss", "jitter", "reorder", "duplicate")
        )

    def accept(self, packet: bytes, now: float) -> None:
        """Decide what happens to a packet that enters at `now`."""
        count, imp = self.count, self.impairments
        count["packets_in"] += 1
        count["bytes_in"] += len(packet)
        translated = self.on_entry(packet) if self.on_entry else packet
        if translated is None:
            count["nat_dropped"] += 1
            return
        if now < self.dead_until:
            count["blackout"] += 1
            return
        if self.drops_udp and is_udp(translated):
            count["filtered"] += 1
            return
        sent = self._leave_queue(imp, len(translated), now) if imp.rate else now
        if sent is None:
            count["queue_full"] += 1
            return
        if imp.loss and self._loss() < imp.loss:
            count["lost"] += 1
            return
        due = self._due(imp, sent, now)
        self._put(due, translated)
        if imp.duplicate and self._duplicate() < imp.duplicate:
            count["duplicated"] += 1
            self._put(due, translated)

    def _due(self, imp: Impairments, sent: float, now: float) -> float:
        """When a packet that left the queue at `sent` arrives."""
        due = sent + imp.delay
        if imp.jitter:
            due = max(now, due + (2 * self._jitter() - 1) * imp.jitter)
        if imp.reorder and self._reorder() < imp.reorder:
            self.count["reordered"] += 1
            return max(due, self._last_due) + imp.reorder_delay
        self._last_due = max(due, self._last_due)
        return self._last_due

    def _leave_queue(self, imp: Impairments, size: int, now: float) -> float | None:
        """When a packet entering now has passed the rate limiter; None if the queue is full."""
        seconds, packets = imp.queue
        start = max(now, self._busy_until)
        if seconds is not None and start - now > seconds:
            return None
        if packets is not None:
            while self._departures and self._departures[0] <= now:
                self._departures.popleft()
            if len(self._departures) > packets:
                return None
        self._busy_until = start + size * 8 / imp.rate
        if packets is not None:
            self._departures.append(self._busy_until)
        return self._busy_until

    def _put(self, due: float, packet: bytes) -> None:
        heapq.heappush(self.schedule, (due, next(self._serials), self, packet))

    def deliver(self, packet: bytes, due: float, now: float) -> None:
        """Write a packet whose time has come to the far end's TUN device."""
        count = self.count
        if now < self.dead_until:
            count["blackout"] += 1
            return
        translated = self.on_delivery(packet) if self.on_delivery else packet
        if translated is None:
            count["nat_dropped"] += 1
            return
        try:
            os.write(self.out_fd, translated)
        except OSError:  # the device is down or its buffer is full
            count["write_errors"] += 1
            return
        count["packets_out"] += 1
        count["bytes_out"] += len(translated)
        late = now - due
        if late > 0.001:
            count["late_1ms"] += 1
        count["late_max_us"] = max(count["late_max_us"], round(late * 1e6))
