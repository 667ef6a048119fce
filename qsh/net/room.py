"""How much a connection's channels may hand to the engine ahead of time.

What the engine has queued cannot be overtaken where it has no priorities, and is memory in any
case: so it gets what it can send soon and no more, shared by the channels that have more.
"""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from qsh.quic.engine import Engine
from qsh.wire.channel import Channel as WireChannel

LEAST = 64 * 1024
"""Bytes kept ready at least, over all channels. Nothing that goes by the same stream overtakes what
waits here, not even the news that the peer may send more: 256 KiB stopped it for a second on a
path that loses."""
WINDOWS = 2
"""The same in congestion windows: one on its way into the network, one ready."""
MOST = 4 << 20
"""And no more than this: on a path without loss the congestion window has no bound, and one flush
of the loop never sends as much."""
LEAST_SHARE = 32 * 1024
"""Bytes per channel, however many are busy."""


class Writer(Protocol):
    """A channel that writes."""

    wire: WireChannel
    priority: int

    def room_changed(self) -> None:
        """There may be room."""


class Room:
    """The room in one engine."""

    def __init__(self, engine: Engine, wake: Callable[[], None]) -> None:
        self._engine = engine
        self._wake = wake
        self._waiting: Counter[Writer] = Counter()
        self._total = self._now()

    def left(self, writer: Writer) -> int:
        """Bytes that the channel may hand over now. Little room is none: it is not worth a
        message."""
        share = max(LEAST_SHARE, self._total // max(1, len(self._waiting)))
        left = share - self._engine.stream_unsent(writer.wire.stream_id)
        return left if left >= share // 4 else 0

    def _now(self) -> int:
        return min(max(LEAST, WINDOWS * self._engine.stats.congestion_window), MOST)

    @property
    def is_wanted(self) -> bool:
        """Whether a channel has more to send than there is room."""
        return bool(self._waiting)

    def wait(self, writer: Writer) -> None:
        """The channel has more to hand over than there is room."""
        self._waiting[writer] += 1
        # What it handed over before may not be on its way yet.
        self._wake()

    def stop_waiting(self, writer: Writer) -> None:
        """It waits no longer."""
        self._waiting[writer] -= 1
        if self._waiting[writer] <= 0:
            del self._waiting[writer]

    def share_out(self) -> None:
        """Let those go on for whom there is room, the urgent ones first."""
        if self._waiting:
            self._total = self._now()
            for writer in sorted(self._waiting, key=_urgency):
                if self.left(writer):
                    writer.room_changed()


def _urgency(writer: Writer) -> int:
    return -writer.priority
