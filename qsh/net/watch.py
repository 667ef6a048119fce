"""What ends by itself after a login: idle channels, unused connections, peers that have vanished.

ChannelTimeout of both sides, UnusedConnectionTimeout and, where a Match block sets it for a user,
the ClientAlive pair of sshd_config(5). Looks now and then, so that data costs nothing: a time-out
may come a quarter of its length too late.
"""

import asyncio
from dataclasses import dataclass, field

from qsh.auth.patterns import match_pattern
from qsh.errors import DisconnectReason
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.quic.events import IDLE_TIMEOUT

_log = logger("session")

GLOBAL = "global"
"""In the place of a type: all channels together."""
OTHER_NAMES = {
    "auth-agent@openssh.com": "agent-connection",
    "tun@openssh.com": "tun-connection",
    "x11": "x11-connection",
}
"""How ChannelTimeout calls them."""
SHARE = 4
"""Looks per time-out."""
LEAST, MOST = 0.1, 30.0
"""Seconds between two looks."""


@dataclass(slots=True)
class Seen:
    """A channel as it was when it last did something."""

    activity: int
    since: float


@dataclass(slots=True)
class Watch:
    """Over one connection. Times are in seconds; 0 for no limit."""

    connection: Connection
    channel_timeouts: tuple[tuple[str, float], ...] = ()
    unused_timeout: float = 0.0
    alive_interval: float = 0.0
    alive_count: int = 0
    _seen: dict[Channel, Seen] = field(default_factory=dict)
    _used_at: float = 0.0
    _active_at: float = 0.0

    async def run(self) -> None:
        """Until the connection is over; at once if there is nothing to watch."""
        limits = [time for _, time in self.channel_timeouts if time]
        limits += [time for time in (self.unused_timeout, self.alive_interval) if time]
        if not limits:
            return
        pause = min(max(min(limits) / SHARE, LEAST), MOST)
        loop = asyncio.get_running_loop()
        self._used_at = self._active_at = loop.time()
        while not self.connection.is_over:
            await asyncio.sleep(pause)
            self.look(loop.time())

    def look(self, now: float) -> None:
        """End what has lasted too long."""
        channels = [one for one in self.connection.channels.values() if not one.is_over]
        if channels:
            self._used_at = now
        if self.unused_timeout and now - self._used_at >= self.unused_timeout:
            _log.info("terminating inactive connection")
            self.connection.close(DisconnectReason.BY_APPLICATION, "unused for too long")
        if self.channel_timeouts:
            self._look_at(channels, now)
        if self.alive_interval:
            self._look_for_life()

    def _look_at(self, channels: list[Channel], now: float) -> None:
        before, self._seen = self._seen, {}
        for channel in channels:
            seen = before.get(channel)
            if seen is None or seen.activity != channel.activity:
                seen, self._active_at = Seen(channel.activity, now), now
            self._seen[channel] = seen
            limit = self._limit(channel)
            if limit and now - seen.since >= limit:
                self._close(channel, "idle")
        limit = dict(self.channel_timeouts).get(GLOBAL, 0.0)
        if limit and now - self._active_at >= limit:
            for channel in channels:
                self._close(channel, "idle, as all are")

    def _limit(self, channel: Channel) -> float:
        kind = OTHER_NAMES.get(channel.kind, channel.kind)
        fitting = (time for pattern, time in self.channel_timeouts
                   if pattern != GLOBAL and match_pattern(kind, pattern))  # fmt: skip
        return next(fitting, 0.0)

    def _close(self, channel: Channel, why: str) -> None:
        _log.info("channel of type %s closed: %s for too long", channel.kind, why)
        self._seen.pop(channel, None)
        channel.close()

    def _look_for_life(self) -> None:
        vigil = self.connection.vigil
        if vigil.since_heard >= self.alive_interval * max(1, self.alive_count):
            self.connection.close(DisconnectReason.CONNECTION_LOST, IDLE_TIMEOUT)
        elif vigil.since_heard >= self.alive_interval / 2:
            vigil.kick()
