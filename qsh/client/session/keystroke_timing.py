"""ObscureKeystrokeTiming: when keystrokes leave, so that their timing tells nothing.

As OpenSSH's client does it: while somebody types, packets leave at fixed intervals, and go on for
a while after the last key; those for which there was no key carry chaff, which is as long and is
answered as an echo is. Who looks on sees that somebody types, but not the rhythm, which tells much
of what is typed. Sans-IO: times come in, in seconds of one monotonic clock.
"""

import random

BULK = 256
"""Bytes that are no typing: a paste leaves at once."""
CHAFF_LEAST = 1.024
CHAFF_MORE = 2.048
"""Seconds of chaff after the last key: the first, and up to the second more, at random."""
FUZZ = 0.1
"""Of an interval, at random: no clock is that exact, and a fixed one could be told apart."""


class KeystrokeTiming:
    """The pace of one session. `interval` is in seconds."""

    def __init__(self, interval: float, random_source: random.Random | None = None) -> None:
        self._interval = interval
        self._random = random_source or random.SystemRandom()
        self._next: float | None = None
        self._until = 0.0

    def typed(self, count: int, now: float) -> float:
        """When `count` bytes that wait may leave: now, or at a later time. Call `sent` then."""
        if count >= BULK:
            return now
        self._until = now + CHAFF_LEAST + self._random.random() * CHAFF_MORE
        return now if self._next is None else max(now, self._next)

    def sent(self, now: float) -> None:
        """Something left: a key, or chaff."""
        fuzz = 1 + FUZZ * (2 * self._random.random() - 1)
        self._next = now + self._interval * fuzz if now < self._until else None

    @property
    def chaff_at(self) -> float | None:
        """When chaff is to leave if no key comes before; None while nobody types."""
        return self._next
