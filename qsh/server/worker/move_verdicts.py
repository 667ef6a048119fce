"""The monitor's word on the addresses that a client's datagrams come from. Pure.

Whoever sees a connection's packets can send some in the name of any address, before any of them is
authenticated. They must neither take the place of the client's next address nor use up the
questions that the monitor answers: places are given up again, and new ones are given slowly.
"""

from qsh.server.listener.limits import RateLimit

EXPIRY = 60.0
"""Seconds for which a verdict holds, unless the client is there."""
PER_SECOND = 4
AT_ONCE = 16
"""Questions to the monitor. With EXPIRY this also bounds how many verdicts there are."""
MAX_QUESTIONS = 9_000
"""On one connection: the monitor ends it before it answers many more (moves.py)."""


class MoveVerdicts:
    """Those of one connection; `home` is where the client began."""

    def __init__(self, home: str) -> None:
        self._home = self._in_use = home
        self._verdicts: dict[str, tuple[bool, float]] = {}
        self._rate = RateLimit(PER_SECOND, AT_ONCE)
        self._questions = 0

    def get(self, host: str, now: float) -> bool | None:
        """Whether the client may be there; None if the monitor must be asked."""
        if host == self._home:
            return True
        verdict, since = self._verdicts.get(host, (None, now))
        is_old = host != self._in_use and now - since >= EXPIRY
        return None if is_old else verdict

    def may_ask(self, now: float) -> bool:
        """Whether the monitor may be asked about an address; it is then."""
        if self._questions >= MAX_QUESTIONS or not self._rate.allows(now):
            return False
        self._questions += 1
        return True

    def put(self, host: str, now: float, *, allowed: bool) -> None:
        """The monitor has spoken."""
        self._verdicts = {
            other: found for other, found in self._verdicts.items()
            if other == self._in_use or now - found[1] < EXPIRY
        }  # fmt: skip
        self._verdicts[host] = (allowed, now)

    def moved_to(self, host: str) -> None:
        """The client has shown that it is there."""
        self._in_use = host
