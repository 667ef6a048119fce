"""Datagrams on their way into the engine: a short queue, and a fair share of what may leave.

Engines put DATAGRAM frames into packets before all streams, and keep as many as they are given:
an application that sends more than the path carries would silence every stream, and its newest
datagram would wait behind all older ones. So the engine gets only what it can send now, half of
that while a stream has more to send, and what does not fit the queue is dropped at once, as by any
router.
"""

from collections import deque

from qsh.quic.engine import Engine

LEAST = 64 * 1024
"""Bytes that may wait at least: a burst of an application that sends little on average."""
MOST = 1 << 20
"""And at most: otherwise one congestion window, which is what the path takes in a round trip."""


class DatagramQueue:
    """The datagrams of one connection. `dropped` counts those that found it full."""

    def __init__(self, engine: Engine) -> None:
        self.dropped = 0
        self._engine = engine
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._limit = LEAST
        self._handed = 0
        self._share = 0.0
        self._sent_before = 0

    @property
    def waiting(self) -> int:
        """Bytes for which the path had no room yet."""
        return self._bytes

    def put(self, datagrams: list[bytes]) -> int:
        """Queue the contents of DATAGRAM frames; for how many of the first ones there was room."""
        for place, data in enumerate(datagrams):
            if self._bytes + len(data) > self._limit:
                self.dropped += len(datagrams) - place
                return place
            self._waiting.append(data)
            self._bytes += len(data)
        return len(datagrams)

    def hand_over(self, is_shared: bool) -> None:
        """Give the engine what it can send now; `is_shared` if streams have more to send, too."""
        if not self._waiting:
            return
        stats = self._engine.stats
        sent = stats.bytes_sent - self._sent_before
        self._sent_before = stats.bytes_sent
        # Datagrams go first, so whatever has been sent since was datagrams as far as there were.
        self._handed = max(0, self._handed - sent)
        self._limit = min(max(LEAST, stats.congestion_window), MOST)
        debt = self._share if is_shared else max(0.0, self._share)
        self._share = min(debt + sent / 2, stats.congestion_window / 2)
        # One packet more than it can send: engines let the window grow only while they are held
        # back by it, and who leaves it one packet short stays at its first size for ever.
        room = stats.congestion_window - stats.bytes_in_flight - self._handed + stats.datagram_size
        self._give(room, is_shared)

    def _give(self, room: int, is_shared: bool) -> None:
        """Give the engine the oldest ones, up to `room` bytes."""
        largest, given, waiting = self._engine.max_datagram_payload or 0, [], self._waiting
        while waiting and room >= len(waiting[0]) and (self._share > 0 or not is_shared):
            data = waiting.popleft()
            self._bytes -= len(data)
            if len(data) > largest:  # the path has become narrower
                self.dropped += 1
                continue
            room -= len(data)
            self._share -= len(data)
            self._handed += len(data)
            given.append(data)
        if given:
            self._engine.send_datagrams(given)
