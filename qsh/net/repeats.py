"""Keystrokes and echoes sent again before they are missed. Pure; times are in seconds.

QUIC finds out about a lost packet when a later one has been acknowledged, a round trip after it
was sent, and everything behind it on its stream waits. So on a path that loses, the last few bytes
of a stream that carries little go out again in DATAGRAMs, thrice at most, with whatever is sent
next or soon after; who misses them has them then. The same is done after a change of address, which
loses what was under way, and with probes of a silent path. What is large, or frequent, is never
repeated.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from qsh.wire.aside import decode_copy, encode_copy

SMALL = 256
"""Bytes of one write: no keystroke, and hardly an echo, has more."""
COPY, TAIL = 1000, 4096
"""Bytes of one stream that are repeated at a time, and that are kept for it."""
BURST, REST = 2048, 0.5
"""Bytes within so many seconds that are no typing; a stream with more is left alone for as
long."""
COPIES = 3
"""Of every byte."""
PAUSE, LONGEST_PAUSE = 0.03, 0.1
"""Seconds until the first copy when nothing else is sent: a third of a round trip, within these.
Later ones take twice as long each."""
EARLY = 0.001
"""Seconds by which a timer may be early."""
AHEAD = 4096
"""Bytes that copies may be ahead of their stream."""

WINDOW = 5.0
"""Seconds of which losses are counted together with those of as many seconds before."""
LOSSES, SHARE = 2, 0.02
"""So many losses in the two windows, and such a share of what was sent: a path that loses."""


class Losses:
    """Whether the path loses packets that we send, at least that share of them."""

    def __init__(self, share: float = SHARE) -> None:
        self._share = share
        self._since = float("-inf")
        self._before = self._start = (0, 0)
        self.is_lossy = False

    def look(self, sent: int, lost: int, now: float) -> None:
        """So many packets were sent, and lost, since the connection began."""
        if now - self._since > WINDOW:
            is_old = now - self._since > 2 * WINDOW
            self._before = (sent, lost) if is_old else self._start
            self._start, self._since = (sent, lost), now
        lately, sent_lately = lost - self._before[1], sent - self._before[0]
        self.is_lossy = lately >= LOSSES and lately >= self._share * sent_lately


@dataclass(slots=True)
class _Piece:
    """One write, and how often it was repeated."""

    data: bytes
    written_at: float
    copies: int = 0


@dataclass(slots=True)
class _Written:
    """The last that was written on a stream. `end` is the offset behind it; `new`, how many pieces
    have not left themselves; `sent_at`, when the others last did."""

    end: int = 0
    pieces: deque[_Piece] = field(default_factory=deque)
    size: int = 0
    new: int = 0
    sent_at: float = 0.0
    burst: int = 0
    burst_since: float = 0.0
    rests_until: float = 0.0
    is_whole_wanted: bool = False

    def add(self, data: bytes, now: float) -> None:
        """So much more is about to be sent."""
        self.end += len(data)
        if now - self.burst_since > REST:
            self.burst, self.burst_since = 0, now
        self.burst += len(data)
        if self.burst > BURST:
            self.rests_until = now + REST
        if now < self.rests_until or len(data) > SMALL:
            self.keep(lambda _piece: False)
            return
        if not data:
            return
        self.pieces.append(_Piece(bytes(data), now))
        self.size += len(data)
        self.new += 1
        self.keep(lambda _piece: self.size <= TAIL)

    def keep(self, is_wanted: Callable[[_Piece], bool]) -> None:
        """Drop the oldest, up to the first that is wanted."""
        while self.pieces and not is_wanted(self.pieces[0]):
            self.size -= len(self.pieces.popleft().data)
        self.new = min(self.new, len(self.pieces))

    def spent(self) -> int:
        """How many pieces, the oldest, have been repeated often enough for now."""
        return next((at for at, piece in enumerate(self.pieces) if piece.copies < COPIES),
                    len(self.pieces))  # fmt: skip

    def due(self, pause: float) -> float:
        """When to repeat, if nothing else is sent before; infinity if all was often enough."""
        copies = self.pieces[-1].copies
        return self.sent_at + pause * (1 << copies) if copies < COPIES else math.inf

    def repeat(self, *, with_new: bool) -> list[tuple[int, bytes]]:
        """Offset and bytes of what has been sent before, and of what is about to be if `with_new`:
        as much as one DATAGRAM takes, or all."""
        found, data, spent = list[tuple[int, bytes]](), b"", self.spent()
        offset = self.end - self.size + sum(len(self.pieces[at].data) for at in range(spent))
        for place in range(spent, len(self.pieces) - (0 if with_new else self.new)):
            piece = self.pieces[place]
            if len(data) + len(piece.data) > COPY:
                if not self.is_whole_wanted:
                    break
                found.append((offset, data))
                offset, data = offset + len(data), b""
            piece.copies += 1
            data += piece.data
        self.is_whole_wanted = False
        return [*found, (offset, data)]


@dataclass(slots=True)
class _Read:
    """What has arrived of a stream; `ahead`, bytes that only copies have brought."""

    end: int = 0
    ahead: int = 0


class Repeats:
    """Those of one connection, in both directions."""

    def __init__(self) -> None:
        self.losses = Losses()
        self._written: dict[int, _Written] = {}
        self._recent: dict[int, _Written] = {}
        self._read: dict[int, _Read] = {}
        self._needed_until = 0.0

    # out

    def wrote(self, stream_id: int, data: bytes, fin: bool, now: float) -> None:
        """So much more of a stream is about to be sent."""
        if fin:
            self.forget_written(stream_id)
            return
        stream = self._written.setdefault(stream_id, _Written())
        stream.add(data, now)
        if stream.pieces:
            self._recent[stream_id] = stream

    def again(self, since: float, now: float, round_trip: float, *, is_whole: bool) -> None:
        """What was sent since then may be lost: it goes out once more now, and what follows within
        a round trip is repeated, too. `is_whole`: all that is kept, since it is likely to arrive,
        and the last of it is of no use without the rest; else what fits in one packet."""
        self._needed_until = now + round_trip
        for stream in self._recent.values():
            stream.sent_at, stream.is_whole_wanted = 0.0, is_whole
            stream.keep(lambda piece: piece.written_at >= since - EARLY)
            for piece in stream.pieces:
                piece.copies = 0

    def due(self, now: float, pause: float) -> float | None:
        """When copies want to leave, if nothing else is sent before; `pause` for the first."""
        if not self._is_needed(now):
            return None
        streams = self._recent.values()
        due = min((stream.due(pause) for stream in streams if stream.pieces), default=math.inf)
        return due if due < math.inf else None

    def _is_needed(self, now: float) -> bool:
        return self.losses.is_lossy or now <= self._needed_until

    def flushing(self, now: float, pause: float) -> list[bytes]:
        """Packets are about to leave: the DATAGRAMs to add, those that are due and those that can
        go with something new."""
        found = []
        for stream_id, stream in list(self._recent.items()):
            if not stream.pieces:
                del self._recent[stream_id]
            elif stream.new or now >= stream.due(pause) - EARLY:
                # What was often enough is kept: after an outage it is wanted again.
                if self._is_needed(now) and len(stream.pieces) - stream.new > stream.spent():
                    # After an outage the peer waits for what is lost before it takes what is new,
                    # and a copy of both together spares it that.
                    copies = stream.repeat(with_new=now <= self._needed_until)
                    found += [encode_copy(stream_id, *copy) for copy in copies]
                stream.new, stream.sent_at = 0, now
        return found

    def all_arrived(self) -> None:
        """The peer has acknowledged everything that was sent."""
        for stream in self._recent.values():
            while len(stream.pieces) > stream.new:
                stream.size -= len(stream.pieces.popleft().data)

    def forget_written(self, stream_id: int) -> None:
        """No more is written on the stream."""
        self._written.pop(stream_id, None)
        self._recent.pop(stream_id, None)

    # in

    def arrived(self, stream_id: int, data: bytes, fin: bool) -> bytes:
        """A stream brings this, in order; what of it is news."""
        stream = self._read.setdefault(stream_id, _Read())
        known = min(stream.ahead, len(data))
        stream.ahead -= known
        stream.end += len(data) - known
        if fin:
            self.forget_read(stream_id)
        return data[known:] if known else data

    def copied(self, datagram: bytes) -> tuple[int, bytes] | None:
        """A copy has come: the stream, and what of it is news; None if nothing is. Raises
        DecodeError."""
        stream_id, offset, data = decode_copy(datagram)
        stream = self._read.get(stream_id)
        if stream is None or not offset <= stream.end < offset + len(data):
            return None
        news = data[stream.end - offset :]
        if stream.ahead + len(news) > AHEAD:
            return None
        stream.ahead += len(news)
        stream.end += len(news)
        return stream_id, news

    def forget_read(self, stream_id: int) -> None:
        """Nothing more comes on the stream."""
        self._read.pop(stream_id, None)


def pause_of(round_trip: float) -> float:
    """Seconds to the first copy on a path with that round trip time."""
    return min(max(PAUSE, round_trip / 3), LONGEST_PAUSE)
