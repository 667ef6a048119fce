"""A program's output as its holder keeps it: what may be asked for again, and how much more may be
read. Pure.

With clients attached nothing is lost: reading waits for the slowest. While nobody is attached a
session without a terminal waits as soon as its buffer is full; one with a terminal goes on and its
oldest output is dropped, unless the settings say otherwise.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from qsh.server.holder.messages import ERRORS, OUTPUT
from qsh.server.holder.program import READ_SIZE
from qsh.server.holder.start import Keeping
from qsh.terminal.lasting_modes import LastingModes
from qsh.wire.replay import Replay

if TYPE_CHECKING:
    from qsh.terminal.kept_screen import KeptScreen

REPLAY_LIMIT = 16 * 1024 * 1024
"""Bytes of a stream that a client may not have acknowledged: what a gigabit carries in an eighth
of a second. More is not read from the program."""
ALONE_LIMIT = 4 * 1024 * 1024
"""Bytes kept of a terminal's output while nobody is attached, where the oldest is dropped."""
HISTORY = 256 * 1024
"""Bytes of a terminal's output that another client is shown when it attaches."""
FLOOD_RATE = 8e6
"""Bytes per second read from a program whose output is dropped: it shall not keep a core busy."""


SCREEN_HISTORY = 64 * 1024
"""Bytes kept beside a screen, for the time when it cannot be drawn."""
COLUMNS, ROWS = 80, 24
"""Of a terminal of unknown size."""
SCREEN_RATE = 2e6
"""Bytes per second of a flood that a screen is to follow."""


class Reader(Protocol):
    """A client for whom output is kept, by its offsets."""

    def allowed(self, stream: int) -> int:
        """Up to which it takes output."""

    def needed(self, stream: int) -> int:
        """From which output may be asked for again."""


class Outputs:
    """Of one session. `keeping` is None for one that ends with its connection."""

    def __init__(self, keeping: Keeping | None, *, has_terminal: bool) -> None:
        self.replays = {OUTPUT: Replay(), ERRORS: Replay()}
        self.rests_until = 0.0
        """Until then nothing is read of what would only be dropped."""
        self.history = HISTORY if has_terminal else REPLAY_LIMIT
        """Bytes that a newcomer is shown."""
        self.drops = keeping is not None and keeping.drops_output
        self._keeps_history = keeping is not None and has_terminal
        self._floor = {OUTPUT: 0, ERRORS: 0}
        self._screen: KeptScreen | None = None
        self._forgotten = LastingModes() if has_terminal and keeping is not None else None

    def keep_screen(self, columns: int, rows: int) -> None:
        """Keep what a terminal of that size (0 for unknown) shows, beside little else."""
        from qsh.terminal.kept_screen import KeptScreen

        self._screen = KeptScreen(columns or COLUMNS, rows or ROWS)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size; 0 for unknown."""
        if self._screen is not None and columns and rows:
            self._screen.resize(columns, rows)

    def redraw(self, asked: int) -> int | None:
        """For who asks for output from that offset on: if there is more than is kept, the offset
        from which the screen is drawn. To others it is drawn as well, since all see one stream."""
        replay = self.replays[OUTPUT]
        if self._screen is None or replay.start <= asked <= replay.end:
            return None
        drawing, at = self._screen.drawing(), replay.end
        if drawing is not None:
            replay.append(drawing)
        return at if drawing is not None else None

    def restore_modes(self, at: int, *, is_new: bool) -> None:
        """Somebody has missed output before `at`: what it has switched in the terminal is said
        once more at the end, which is harmless to others. `is_new`: that of another terminal."""
        if self._forgotten is None or at == 0:
            return
        replay, modes = self.replays[OUTPUT], self._forgotten.copy()
        _feed(modes, replay, replay.end)
        replay.append(modes.sequences(is_new=is_new))

    def room(self, stream: int, readers: Sequence[Reader], now: float) -> int:
        """Bytes that may be read from the program now; none if it is not more than 0."""
        end = self.replays[stream].end
        if readers:
            allowed = min(one.allowed(stream) for one in readers)
            needed = min(one.needed(stream) for one in readers)
            return min(allowed, needed + REPLAY_LIMIT) - end
        if self.drops:
            return READ_SIZE if now >= self.rests_until else 0
        return self._floor[stream] + REPLAY_LIMIT - end

    def append(self, stream: int, data: bytes, readers: Sequence[Reader], now: float) -> None:
        """The program has written this."""
        replay = self.replays[stream]
        replay.append(data)
        if self._screen is not None:
            self._screen.feed(data)
        if not readers and self._screen is not None:
            self.rests_until = now + len(data) / SCREEN_RATE
        elif not readers and len(replay) > ALONE_LIMIT:
            self.rests_until = now + len(data) / FLOOD_RATE

    def trim(self, readers: Sequence[Reader]) -> None:
        """Forget what nobody can ask for any more."""
        for stream, replay in self.replays.items():
            if readers:
                self._floor[stream] = min(one.needed(stream) for one in readers)
            keep = self._floor[stream]
            if self._keeps_history:
                keep = min(keep, replay.end - HISTORY)
            if not readers and self.drops:
                limit = ALONE_LIMIT if self._screen is None else SCREEN_HISTORY
                keep = max(keep, replay.end - limit)
            if self._forgotten is not None and stream == OUTPUT:
                _feed(self._forgotten, replay, keep)
            replay.trim(keep)


def _feed(modes: LastingModes, replay: Replay, end: int) -> None:
    """What is kept, up to that offset."""
    at = replay.start
    while at < min(end, replay.end):
        piece = replay.piece(at, min(end, replay.end) - at)
        modes.feed(piece)
        at += len(piece)
