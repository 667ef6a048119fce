"""Keeps a client's connection on a path that works (RFC 9000 section 9).

It moves when the kernel would send by another address than the one in use, also when nothing is to
be sent; tries another path when the one in use stays silent while an answer is owed, by a stream
too (stream_detour.py); and kicks the connection when a network comes back or the machine wakes up.
May not change the connection's peer: all addresses are those of one host, whose TLS key answers for
them.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

from qsh.errors import NetworkError
from qsh.log import logger
from qsh.net.connection import Connection
from qsh.net.dial import OpenLink, OpenStream
from qsh.net.endpoint import Endpoint
from qsh.net.liveness import KeepAlive
from qsh.net.network_watch import NetworkWatch
from qsh.net.stream_detour import StreamDetour
from qsh.net.tasks import spawn
from qsh.net.udp import DatagramLink, plain_address
from qsh.quic.events import Address

_log = logger("migration")

TICK = 1.0
"""Seconds between looks at the clock and at the silence."""
LATE = 1.5
"""Seconds beyond a tick after which the process, or the machine, must have been asleep."""
GO_BACK_AFTER = 2.0
"""Seconds of silence on a new path after which the old one is tried again."""
OTHER_FAMILY_AFTER = 4.0
"""Seconds of silence after which IPv6 is tried in the place of IPv4, or the reverse."""
NEW_SOCKET_AFTER = 10.0
"""Seconds of silence after which another port is tried: a box on the way may have forgotten us."""
NAME_AFTER = 5.0
"""Seconds of silence after which the name is resolved anew: the server may have another address."""
ATTEMPTS_EVERY = 15.0
MOST_ENDPOINTS = 16
"""Addresses of the server's that are known at once, the newest."""
POLL = 2.0
"""Seconds between looks at the route where the kernel tells nothing."""
REBINDING = 10.0
"""Seconds after a move of ours in which the server's word of our new address is no news."""

FindSource = Callable[[Endpoint], str | None]
FindEndpoints = Callable[[], Awaitable[Sequence[Endpoint]]]


def route_source(endpoint: Endpoint) -> str | None:
    """The local address by which the kernel would send to the endpoint now; None if there is no
    way. Sends nothing."""
    try:
        with socket.socket(endpoint.family, socket.SOCK_DGRAM) as sock:
            sock.connect(endpoint.sockaddr)
            return plain_address(sock.getsockname())[0]
    except OSError:
        return None


def is_local(host: str) -> bool:
    """Whether this machine still has that address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True


def boot_time() -> float:
    """Seconds since the machine was started, asleep or not."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Migrator:
    """Watches the network for one established connection, until it is over.

    `endpoints` are the server's addresses, that in use first; `find_endpoints` gives those that it
    has now, by its name.
    """

    def __init__(
        self,
        connection: Connection,
        endpoints: Sequence[Endpoint],
        open_link: OpenLink,
        bind_address: str | None = None,
        *,
        find_source: FindSource = route_source,
        has_address: Callable[[str], bool] = is_local,
        clock: Callable[[], float] = boot_time,
        keep_alive: KeepAlive | None = None,
        open_stream: OpenStream | None = None,
        find_endpoints: FindEndpoints | None = None,
    ) -> None:
        self._connection = connection
        self._find_endpoints = find_endpoints
        self._looking_up: asyncio.Task[None] | None = None
        self._endpoint = endpoints[0]
        self._endpoints = endpoints
        self._open_link = open_link
        self._bind_address = bind_address
        self._find_source = find_source
        self._has_address = has_address
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._keep_alive = keep_alive or KeepAlive()
        self._watch = NetworkWatch(self.network_changed)
        self._is_told = False
        self._timer: asyncio.TimerHandle | None = None
        self._ticked_at = clock()
        self._looked_at = self._moved_at = self._tried_at = self._loop.time()
        self._asked_at = float("-inf")
        self._has_route = True
        self._detour = open_stream and StreamDetour(connection, open_stream, open_link, self._use)

    def start(self) -> None:
        """Begin to watch."""
        self._is_told = self._watch.start()
        self._connection.on_path_changed = self._seen_at
        self._connection.vigil.keep_alive(self._keep_alive)
        self._timer = self._loop.call_later(TICK, self._tick)

    def stop(self) -> None:
        """Watch no longer."""
        self._watch.stop()
        if self._timer is not None:
            self._timer.cancel()
        if self._detour is not None:
            self._detour.stop()
        if self._looking_up is not None:
            self._looking_up.cancel()

    def network_changed(self) -> None:
        """Move if the kernel would now send by another address."""
        connection = self._connection
        if connection.is_over:
            return
        for endpoint in self._candidates():
            source = self._source(endpoint)
            if source is None:
                continue
            came_back = not self._has_route
            self._has_route = True
            if source != connection.paths.local[0] or endpoint is not self._endpoint:
                self._move(endpoint)
            elif came_back or connection.vigil.silence:
                connection.vigil.kick(is_news=True)
            connection.vigil.hurry()
            return
        if self._has_route:
            _log.debug1("no way to the server for now")
        self._has_route = False

    # ------------------------------------------------------------ the clock

    def _tick(self) -> None:
        if self._connection.is_over:
            self.stop()
            return
        now = self._clock()
        slept, self._ticked_at = now - self._ticked_at - TICK, now
        self._timer = self._loop.call_later(TICK, self._tick)
        if slept > LATE:
            _log.debug1("awake again after %.0f s", slept)
            self._connection.vigil.kick()
            self.network_changed()
        elif not self._is_told and self._loop.time() - self._looked_at >= POLL:
            self._looked_at = self._loop.time()
            self.network_changed()
        self._break_silence()
        if self._detour is not None and self._has_route:
            self._detour.look(self._candidates(), self._bind_address)

    def _break_silence(self) -> None:
        """Try another path when the one in use stays silent."""
        now, silence = self._loop.time(), self._connection.vigil.silence
        if (silence >= NAME_AFTER and now - self._asked_at >= ATTEMPTS_EVERY
                and self._find_endpoints is not None):  # fmt: skip
            self._asked_at = now
            self._looking_up = spawn(self._look_up(self._find_endpoints), "name of the server")
        if not silence or not self._has_route:
            return
        is_dead = not self._connection.paths.is_heard
        if is_dead and min(silence, now - self._moved_at) >= GO_BACK_AFTER and self._go_back():
            return
        if now - self._tried_at < min(ATTEMPTS_EVERY, silence):
            return
        others = [one for one in self._candidates() if one.family != self._endpoint.family]
        if silence >= OTHER_FAMILY_AFTER and others and self._source(others[0]) is not None:
            self._tried_at = now
            self._move(others[0])
        elif silence >= NEW_SOCKET_AFTER:
            self._tried_at = now
            self._move(self._endpoint)

    async def _look_up(self, find_endpoints: FindEndpoints) -> None:
        """Move to the server's new address, if its name leads to one."""
        try:
            found = await find_endpoints()
        except NetworkError as error:
            _log.debug1("%s", error)
            return
        known = {one.sockaddr for one in self._endpoints}
        new = [one for one in found if one.sockaddr not in known]
        if not new or self._connection.is_over or not self._connection.vigil.silence:
            return
        _log.debug1("the server's name leads to another address")
        self._endpoints = (*new, *self._endpoints)[:MOST_ENDPOINTS]
        usable = [one for one in new if self._source(one) is not None]
        if usable:
            self._tried_at = self._loop.time()
            self._move(usable[0])

    def _go_back(self) -> bool:
        """To the path in use before, if it is still open and its address still ours; whether it
        is."""
        paths = self._connection.paths
        before = paths.before
        if before is None or not self._has_address(before[0]) or not paths.go_back():
            return False
        _log.debug1("the new path is silent: back to the old one")
        for endpoint in self._endpoints:
            if plain_address(endpoint.sockaddr) == paths.remote:
                self._endpoint = endpoint
        self._has_moved()
        return True

    # ------------------------------------------------------------ moving

    def _candidates(self) -> list[Endpoint]:
        """The endpoint in use, then those of the other family."""
        if self._bind_address is not None:
            return [self._endpoint]
        family = self._endpoint.family
        return [self._endpoint, *(one for one in self._endpoints if one.family != family)]

    def _source(self, endpoint: Endpoint) -> str | None:
        """By which address packets to the endpoint would leave; the user may have fixed that."""
        if self._bind_address is not None:
            return self._connection.paths.local[0]
        return self._find_source(endpoint)

    def _move(self, endpoint: Endpoint) -> None:
        try:
            link = self._open_link(endpoint, self._bind_address)
        except OSError as error:
            _log.debug1("cannot send by another path: %s", error.strerror)
            return
        self._use(endpoint, link)

    def _use(self, endpoint: Endpoint, link: DatagramLink) -> None:
        self._endpoint = endpoint
        self._connection.paths.use(link)
        self._has_moved()

    def _has_moved(self) -> None:
        self._moved_at = self._loop.time()
        self._keep_alive.moved()
        self._connection.vigil.keep_alive(self._keep_alive)
        self._connection.moved()

    def _seen_at(self, public: Address) -> None:
        """The server sees us at another address than before. If we did not move, a NAT forgot us
        while we were quiet."""
        _log.debug1("the server sees us at %s port %d", *public)
        if self._loop.time() - self._moved_at > REBINDING:
            self._keep_alive.forgotten()
            self._connection.vigil.keep_alive(self._keep_alive)
