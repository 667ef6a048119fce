"""When to break silence: a connection's clock of probes and keep-alives. Pure; time is passed in.

QUIC's own timers double after each probe that goes unanswered (RFC 9002 section 6.2), so that after
a minute without a network the next sign of life may be a minute away. A user waits for the very
moment in which the network is back: while an answer is owed, one small datagram goes out ten times
a second at first, and rarer as hours pass. That is less than a person's typing.
"""

PATIENCE = 0.5
"""Seconds of silence, at least, before the first probe: less is the engine's own business."""
ROUND_TRIPS = 3
"""And that many round trips."""
PROBE_INTERVAL = 0.1
"""Seconds between probes; the first packet leaves that soon after the network's return."""
SLOWING = 1 / 1200
"""Of the silence so far: probes are rarer after two minutes, a second apart after twenty."""
MAX_PROBE_INTERVAL = 60.0

FIRST_KEEP_ALIVE = 25.0
"""Seconds: NATs forget UDP mappings after 30 s at worst in practice, though RFC 4787 section 4.3
demands 2 minutes."""
MAX_KEEP_ALIVE = 180.0
MIN_KEEP_ALIVE = 10.0


def patience(round_trip: float) -> float:
    """Seconds of silence that are nothing special on a path with that round trip time."""
    return max(PATIENCE, ROUND_TRIPS * round_trip)


def probe_interval(silence: float) -> float:
    """Seconds until the next probe, after that long a silence."""
    return min(max(PROBE_INTERVAL, silence * SLOWING), MAX_PROBE_INTERVAL)


class Silence:
    """How long an answer has been owed to us."""

    def __init__(self, now: float) -> None:
        self._owed_since: float | None = None
        self.heard_at = self.heard_before = now
        """When the peer last said something, and the time before."""

    def sent(self, now: float) -> None:
        """Something was sent that may want an answer."""
        if self._owed_since is None:
            self._owed_since = now

    def heard(self, now: float) -> None:
        """The peer has said something."""
        self.heard_before, self.heard_at = self.heard_at, now

    def settled(self) -> None:
        """All is answered."""
        self._owed_since = None

    def since_heard(self, now: float) -> float:
        """Seconds since the peer last said anything."""
        return now - self.heard_at

    def length(self, now: float) -> float:
        """Seconds for which an answer has been owed and nothing was heard; 0 if none is owed."""
        if self._owed_since is None:
            return 0.0
        return max(0.0, now - max(self._owed_since, self.heard_at))


class KeepAlive:
    """How long a path may be quiet before a NAT forgets it: learned by trying.

    Every time a pause was survived the next may be twice as long. When the server says that it
    was not (the client's public address changed without its doing), pauses are halved, and stay.
    """

    def __init__(self, most: float = MAX_KEEP_ALIVE) -> None:
        self._most = most
        self._may_grow = True
        self._last = self.interval = min(FIRST_KEEP_ALIVE, most)

    def tried(self) -> None:
        """A whole pause has passed, and a packet goes out to see whether the path has survived."""
        self._last = self.interval
        if self._may_grow:
            self.interval = min(2 * self.interval, self._most)

    def forgotten(self) -> None:
        """The NAT had forgotten the path during the last pause."""
        self._may_grow = False
        self.interval = max(self._last / 2, min(MIN_KEEP_ALIVE, self._most))

    def moved(self) -> None:
        """Another network: begin anew."""
        self._may_grow = True
        self._last = self.interval = min(FIRST_KEEP_ALIVE, self._most)
