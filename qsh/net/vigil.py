"""Watches over one connection's silence on the event loop, by the rules of liveness.py."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from qsh.net.liveness import KeepAlive, Silence, patience, probe_interval
from qsh.quic.engine import Engine

LOOK = 0.25
"""Seconds between looks at what is unanswered, while all is well."""
EARLY = 0.002
"""Seconds by which a timer may be early."""


class Again(Protocol):
    """See Aside.again."""

    def __call__(self, heard_at: float, *, is_whole: bool) -> None: ...


class Vigil:
    """Kicks the engine when it is time; `flush` has it send, and `again` repeat what the peer may
    not have, which was last heard at a given time. Told by the driver what happens."""

    def __init__(self, engine: Engine, flush: Callable[[], None],
                 again: Again) -> None:
        self._engine = engine
        self._flush = flush
        self._again = again
        self._loop = asyncio.get_running_loop()
        self._silence = Silence(self._loop.time())
        self._sent_at = self._loop.time()
        self._keep_alive: KeepAlive | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._next_keep: asyncio.TimerHandle | None = None
        self._is_over = False
        self._overdue = asyncio.Event()
        self._hurried_at = float("-inf")

    @property
    def silence(self) -> float:
        """Seconds for which an answer has been owed and nothing was heard; 0 if none is owed."""
        return self._silence.length(self._loop.time())

    @property
    def since_heard(self) -> float:
        """Seconds since the peer last said anything."""
        return self._silence.since_heard(self._loop.time())

    @property
    def heard_before(self) -> float:
        """When the peer was heard the time before the last."""
        return self._silence.heard_before

    async def overdue(self) -> None:
        """Until an answer is owed for longer than the path's round trip explains: who waits for a
        silence need not look before."""
        self._overdue.clear()
        await self._overdue.wait()

    def sent(self) -> None:
        """Datagrams have left on an established connection."""
        self._sent_at = self._loop.time()
        if self._next_look is None and not self._is_over:
            self._silence.sent(self._sent_at)
            self._next_look = self._loop.call_later(LOOK, self._look)

    def heard(self) -> None:
        """Datagrams have come. What was sent into a silence that now ends is likely to be lost:
        the peer shall say at once what it has."""
        now = self._loop.time()
        if self._silence.length(now) >= patience(0.0):
            self._engine.kick(now)
            self._again(self._silence.heard_at, is_whole=True)
        self._silence.heard(now)

    def kick(self, *, is_news: bool = False) -> None:
        """A sign of life, now. `is_news`: the network is said to be back, so it may well arrive."""
        if not self._is_over:
            if self.silence:
                self._again(self._silence.heard_at, is_whole=is_news)
            self._engine.kick(self._loop.time())
            self._flush()

    def hurry(self) -> None:
        """There is news of the network: probes as frequent as at the beginning of a silence, since
        the first packet may be lost."""
        self._hurried_at = self._loop.time()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = self._loop.call_later(LOOK, self._look)

    def keep_alive(self, policy: KeepAlive) -> None:
        """Break the silence also when nothing is owed, by this policy. To be called again when
        its interval has become shorter."""
        self._keep_alive = policy
        self._arm_keep_alive()

    def stop(self) -> None:
        """The connection is over."""
        self._is_over = True
        for timer in (self._next_look, self._next_keep):
            if timer is not None:
                timer.cancel()

    def _look(self) -> None:
        self._next_look = None
        if self._is_over:
            return
        stats, now = self._engine.stats, self._loop.time()
        if not stats.bytes_in_flight:
            self._silence.settled()
            return
        silence, borne = self._silence.length(now), patience(stats.smoothed_rtt)
        delay = min(max(borne - silence, EARLY), LOOK)
        if silence >= borne:
            delay = probe_interval(min(silence, now - self._hurried_at))
            self._overdue.set()
            self.kick()
        if not self._is_over:
            self._next_look = self._loop.call_later(delay, self._look)

    def _arm_keep_alive(self) -> None:
        if self._next_keep is not None:
            self._next_keep.cancel()
        if self._keep_alive is not None and not self._is_over:
            at = self._sent_at + self._keep_alive.interval
            self._next_keep = self._loop.call_at(at, self._keep)

    def _keep(self) -> None:
        self._next_keep = None
        policy = self._keep_alive
        if policy is None or self._is_over:
            return
        if self._loop.time() - self._sent_at >= policy.interval - EARLY:
            policy.tried()
            self.kick()
            self._sent_at = self._loop.time()
        self._arm_keep_alive()
