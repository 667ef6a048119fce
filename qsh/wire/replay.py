"""A stream's bytes by absolute offset, as many as may still be asked for. Pure.

What was sent is kept until its reader has it for good; a reader that comes back begins where it
stopped. Small pieces are joined, so that a terminal's single bytes cost little more than a byte.
"""

from bisect import bisect_right

SMALL = 4096
"""Bytes up to which pieces are joined."""
_COMPACT = 256


class Replay:
    """The bytes from `start` up to `end`, both counted from the stream's beginning."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._offsets: list[int] = []
        self._pieces: list[bytes] = []
        self._head = 0

    def __len__(self) -> int:
        return self.end - self.start

    def append(self, data: bytes) -> None:
        """More bytes, after all others."""
        if not data:
            return
        if len(self._pieces) > self._head and len(self._pieces[-1]) + len(data) <= SMALL:
            self._pieces[-1] += data
        else:
            self._offsets.append(self.end)
            self._pieces.append(data)
        self.end += len(data)

    def piece(self, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset` on, as many as are at hand in one piece; none at
        the end. Raises ValueError for what is not there."""
        if not self.start <= offset <= self.end:
            raise ValueError(f"offset {offset} is not in {self.start}..{self.end}")
        if offset == self.end:
            return b""
        at = bisect_right(self._offsets, offset, self._head) - 1
        skipped = offset - self._offsets[at]
        found = self._pieces[at]
        return found if not skipped and len(found) <= limit else found[skipped : skipped + limit]

    def trim(self, offset: int) -> None:
        """Forget what comes before `offset`."""
        self.start = max(self.start, min(offset, self.end))
        head, pieces = self._head, self._pieces
        while head < len(pieces) and self._offsets[head] + len(pieces[head]) <= self.start:
            pieces[head] = b""
            head += 1
        if head > _COMPACT and 2 * head > len(pieces):
            del self._offsets[:head], pieces[:head]
            head = 0
        self._head = head
