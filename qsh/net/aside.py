"""What one connection says beside its streams, on the event loop: copies of what may be lost
(repeats.py), and large packets for a server that must prove a new address.

Told by the driver what is written and what comes. May not wait for room: all of it is little.
"""

import asyncio
from collections.abc import Callable

from qsh.errors import DecodeError
from qsh.net.repeats import Repeats, pause_of
from qsh.quic.engine import Engine
from qsh.wire.aside import FRAMES_BESIDE, LARGE_WANTED, divide, filling

LOOK = 0.2
"""Seconds between looks at how many packets were lost."""
FRAME_HEAD = 3
"""Bytes of a DATAGRAM frame beside its data (RFC 9221 section 4)."""
FILL_AGAIN = 0.5
"""Seconds between two large packets."""


class Aside:
    """For one connection. `wake` has it send."""

    def __init__(self, engine: Engine, wake: Callable[[], None], *, is_client: bool) -> None:
        self.repeats = Repeats()
        self._engine = engine
        self._wake = wake
        self._is_client = is_client
        self._loop = asyncio.get_running_loop()
        self._looked_at = self._filled_at = 0.0
        self._pause = 0.0
        self._is_to_fill = False
        self._is_asked = False
        self._timer: asyncio.TimerHandle | None = None

    def moved(self, heard_at: float) -> None:
        """At a client: another path is in use; the server was last heard at that time."""
        self.again(heard_at, is_whole=True)
        self._fill()

    def _fill(self) -> None:
        """Have the next packet be a large one: a server may send to an address that nobody has
        proved to be at only three times what comes from there (RFC 9000 section 8.1)."""
        now = self._loop.time()
        if self._is_client and now - self._filled_at >= FILL_AGAIN:
            self._filled_at = now
            self._is_to_fill = True
            self._wake()

    def heard_elsewhere(self, heard_before: float) -> None:
        """At a server: the client is heard from another address, and was last heard from the old
        one at that time. It shall make large packets."""
        self.again(heard_before, is_whole=True)
        if self._engine.max_datagram_payload:
            self._engine.send_datagrams([LARGE_WANTED])
        self._wake()

    def again(self, heard_at: float, *, is_whole: bool) -> None:
        """What the peer has not had a round trip before it was last heard may be lost; `is_whole`
        where all of it shall go out now."""
        self._is_asked = True
        round_trip, now = self._engine.stats.smoothed_rtt, self._loop.time()
        self.repeats.again(heard_at - round_trip, now, round_trip, is_whole=is_whole)

    def flushing(self) -> None:
        """Packets are about to leave: add the copies whose turn it is."""
        now, repeats = self._loop.time(), self.repeats
        if now - self._looked_at >= LOOK:
            self._look(now)
        # Right after a move nothing is in flight by the new path; by the old one something was.
        is_owed = self._is_asked or self._engine.stats.bytes_in_flight
        if repeats.due(now, self._pause) is not None and not is_owed:
            repeats.all_arrived()
        if not self._is_asked and self._is_full():
            self._stop_timer()  # what comes, or the next probe, will flush again
            return
        self._is_asked = False
        largest = self._engine.max_datagram_payload or 0
        copies = [copy for copy in repeats.flushing(now, self._pause) if len(copy) <= largest]
        if self._is_to_fill:
            # With the copies in one packet: it may be all that congestion control lets pass.
            self._is_to_fill = False
            room = largest - sum(len(copy) + FRAME_HEAD for copy in copies)
            if room > FRAMES_BESIDE:
                copies.append(filling(room))
        if copies:
            self._engine.send_datagrams(copies)
        self._arm(now)

    def _is_full(self) -> bool:
        """Whether copies would wait in the engine, where they would be in the way of what is newer
        when the network is back."""
        stats = self._engine.stats
        return stats.bytes_in_flight + stats.datagram_size > stats.congestion_window

    def _look(self, now: float) -> None:
        self._looked_at = now
        stats = self._engine.stats
        self.repeats.losses.look(stats.packets_sent, stats.packets_lost, now)
        self._pause = pause_of(stats.smoothed_rtt)

    def taken(self, datagrams: list[bytes]) -> tuple[list[bytes], list[tuple[int, bytes]]]:
        """DATAGRAMs have come: those of flows, and news of streams."""
        flows, aside = divide(datagrams)
        news = []
        for datagram in aside:
            if datagram == LARGE_WANTED:
                self._fill()
            elif datagram[:1] != LARGE_WANTED and (found := self._copied(datagram)):
                news.append(found)
        return flows, news

    def _copied(self, datagram: bytes) -> tuple[int, bytes] | None:
        try:
            return self.repeats.copied(datagram)
        except DecodeError:
            return None

    def stop(self) -> None:
        """The connection is over."""
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, now: float) -> None:
        due = self.repeats.due(now, self._pause)
        self._stop_timer()
        self._timer = None if due is None else self._loop.call_at(due, self._wake)
