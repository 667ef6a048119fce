"""From a name to a connection: RFC 8305 with QUIC handshakes in the place of TCP's.

Addresses of both families take turns, a quarter of a second apart or as soon as one has failed;
the first complete handshake wins, and the others are closed.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from qsh.errors import NetworkError, NoServerError
from qsh.log import logger
from qsh.net.connection import Connection
from qsh.net.endpoint import Endpoint
from qsh.net.tasks import cancel, in_thread, spawn
from qsh.net.udp import DatagramLink, LinkEndedError, open_link, plain_address
from qsh.quic.engine import EngineConfig, EngineFactory
from qsh.record import replace
from qsh.wire.connection import Role

_log = logger("dial")

ATTEMPT_DELAY = 0.25
"""Seconds between two attempts: RFC 8305 section 5, Connection Attempt Delay."""
STREAM_DELAY = 0.25
"""Seconds for UDP alone, before a stream is tried beside it."""
DEFAULT_TIMEOUT = 20.0
"""Seconds for everything, without ConnectTimeout. Three handshake packets were sent in vain on
the slowest of links by then; TCP's two minutes help nobody who waits."""
_GIVE_UP = frozenset(
    (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL,
     errno.ECONNRESET)
)
"""What the network may say while the handshake is under way that ends an attempt."""


Resolve = Callable[[str, int, int], Awaitable[list[Endpoint]]]
"""Host, port and address family (0 for any) to addresses, the preferred one first. Raises
NetworkError."""
OpenLink = Callable[[Endpoint, str | None], DatagramLink]
"""A link to an address, from a local one. Raises OSError if there is no way."""


OpenStream = Callable[[Endpoint], Coroutine[None, None, DatagramLink]]
"""A link over a stream to an address. Raises OSError if there is none."""


def open_udp(endpoint: Endpoint, bind_address: str | None) -> DatagramLink:
    """A link over a UDP socket."""
    return open_link(endpoint.sockaddr, endpoint.family, bind_address)


def literal(host: str, port: int, family: int) -> list[Endpoint]:
    """The host as an address, if it is written as one; asks nobody and does not wait."""
    try:
        return _look_up(host, port, family, socket.AI_NUMERICHOST)
    except OSError:
        return []


async def resolve_name(host: str, port: int, family: int) -> list[Endpoint]:
    """Ask the system's resolver."""
    try:
        return await in_thread(_look_up, host, port, family, socket.AI_ADDRCONFIG)
    except UnicodeError:
        raise NetworkError(f"{host!r} is no host name") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NetworkError(f"cannot find the address of {host}: {reason}") from None


def _look_up(host: str, port: int, family: int, flags: int) -> list[Endpoint]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM, socket.IPPROTO_UDP, flags)
    endpoints = [
        Endpoint(family, (str(address[0]), int(address[1]), *map(int, address[2:])))  # type: ignore[arg-type]
        for family, _, _, _, address in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
    return list(dict.fromkeys(endpoints))


def interleave(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """The families in turns, that of the first address first: RFC 8305 section 4."""
    if not endpoints:
        return []
    first = [endpoint for endpoint in endpoints if endpoint.family == endpoints[0].family]
    others = [endpoint for endpoint in endpoints if endpoint.family != endpoints[0].family]
    turns = chain.from_iterable(zip_longest(first, others))
    return [endpoint for endpoint in turns if endpoint is not None]


@dataclass
class _Race:
    """The attempts of one dial."""

    host: str
    port: int
    factory: EngineFactory
    config: EngineConfig
    server_name: str
    bind_address: str | None
    open_link: OpenLink
    open_stream: OpenStream | None = None
    endpoints: Sequence[Endpoint] = ()
    failures: list[str] = field(default_factory=list)
    was_answered: bool = False
    """Something spoke, though not as it should."""
    has_stream: bool = False
    """A stream stands, which may still become a connection."""
    overtaken: Callable[[], None] = lambda: None
    """To be called when a stream has come to nothing."""
    source: str = ""
    """Our address on the way to a machine that has no server of ours."""
    started: list[Connection] = field(default_factory=list)

    def start(self, endpoint: Endpoint) -> Connection | None:
        """Send the first flight to an address; None if that fails at once."""
        _log.debug1("connecting to %s [%s] port %d/udp", self.host, endpoint, self.port)
        try:
            link = self.open_link(endpoint, self.bind_address)
        except OSError as error:
            self.failed(endpoint, _said(error))
            return None
        return self._begin(endpoint, link)

    def _begin(self, endpoint: Endpoint, link: DatagramLink) -> Connection:
        now = asyncio.get_running_loop().time()
        remote = plain_address(endpoint.sockaddr)
        config = replace(self.config, largest_datagram_size=link.largest_payload)
        engine = self.factory.new_client(config, self.server_name, remote, now)
        name = self.host if self.port == 22 else f"{self.host} port {self.port}"
        connection = Connection(Role.CLIENT, engine, link, name=name)
        connection.endpoints = (endpoint, *(one for one in self.endpoints if one != endpoint))
        self.started.append(connection)
        connection.start()
        return connection

    def failed(self, endpoint: Endpoint, reason: str) -> None:
        """Remember why an attempt is over."""
        _log.debug1("%s port %d/udp: %s", endpoint, self.port, reason)
        if reason not in self.failures:
            self.failures.append(reason)

    async def attempt(self, endpoint: Endpoint, connection: Connection | None) -> Connection | None:
        """The connection, once its handshake is complete; None when that cannot be."""
        if connection is None:
            return None
        try:
            await connection.handshaken(give_up=_GIVE_UP)
        except OSError as error:
            self.failed(endpoint, _said(error))
        except NetworkError as error:
            self.was_answered = True
            self.failed(endpoint, str(error))
        else:
            return connection
        connection.close()
        return None

    async def attempt_stream(self) -> Connection | None:
        """A connection over a stream, for networks without UDP. What is wrong with it is told only
        to those who look, since most servers have none."""
        assert self.open_stream is not None
        await asyncio.sleep(STREAM_DELAY)
        for endpoint in self.endpoints:
            try:
                link = await self.open_stream(endpoint)
            except OSError as error:
                _log.debug1("%s by a stream: %s", endpoint, _said(error))
                continue
            self.has_stream = True
            connection = await self.attempt(endpoint, self._begin(endpoint, link))
            self.has_stream = False
            if connection is not None:
                return connection
            self.overtaken()
        return None

    def error(self) -> NetworkError:
        """Why there is no connection."""
        reasons = "; ".join(self.failures)
        return self._named(f"cannot connect to {self.host} port {self.port}/udp: {reasons}")

    def _named(self, text: str) -> NetworkError:
        return NoServerError(text, self.source) if self.source else NetworkError(text)

    def overtake(self, other: "asyncio.Task[str]", deadline: asyncio.Timeout) -> None:
        """The other server has answered first: do not wait for one that stays silent."""
        if other.cancelled() or other.exception() is not None:
            return
        if not any(connection.stats.packets_received for connection in self.started):
            self.overtaken = lambda: self.overtake(other, deadline)
            if self.has_stream:
                return  # its end decides
            self.source = other.result()
            with suppress(RuntimeError):  # it has just ended
                deadline.reschedule(asyncio.get_running_loop().time())

    def silence(self, timeout: float) -> NetworkError:
        """Nothing came within the time."""
        said = [_said(c.last_network_error) for c in self.started if c.last_network_error]
        hint = f" ({said[-1]})" if said else ""
        within = "" if self.source else f" within {timeout:g} s"
        return self._named(
            f"nothing answers at {self.host} on port {self.port}/udp{within}{hint}"
        )


def _said(error: OSError) -> str:
    if isinstance(error, LinkEndedError):
        return error.strerror or str(error)
    match error.errno:
        case errno.ECONNREFUSED:
            return "refused: no qshd listens there"
        case errno.ENETUNREACH | errno.EHOSTUNREACH:
            return "no route to it"
        case errno.EPERM | errno.EACCES:
            return "the local firewall forbids it"
        case errno.EADDRNOTAVAIL:
            return "the local address to bind is not available"
    return (error.strerror or str(error)).lower()


async def dial(
    host: str,
    port: int,
    *,
    factory: EngineFactory,
    config: EngineConfig,
    family: int = 0,
    bind_address: str | None = None,
    timeout: float | None = None,
    server_name: str = "",
    resolve: Resolve = resolve_name,
    open_link: OpenLink = open_udp,
    meanwhile: Callable[[], None] | None = None,
    endpoints: Sequence[Endpoint] = (),
    other: Callable[[], Coroutine[None, None, str]] | None = None,
    open_stream: OpenStream | None = None,
) -> Connection:
    """A connection to the host whose handshake is complete. Raises NetworkError.

    `endpoints` are its addresses, where they are known; `family` is a socket.AF_* or 0 for any;
    `timeout` in seconds, for all attempts together.
    `meanwhile` is called once, as soon as the first flight is on its way: the round trip is time
    for whatever the caller has to load. `other` returns, with our own address, when another server
    has been found there: silence then ends in NoServerError. `open_stream` is tried beside UDP,
    a little later.
    """
    timeout = DEFAULT_TIMEOUT if timeout is None else timeout
    race = _Race(host, port, factory, config, server_name, bind_address, open_link, open_stream)

    async def find() -> list[Endpoint]:
        return [*endpoints] or literal(host, port, family) or await resolve(host, port, family)

    return await _decide(race, timeout, find, meanwhile, other)


async def _decide(
    race: _Race,
    timeout: float,
    find: Callable[[], Awaitable[list[Endpoint]]],
    meanwhile: Callable[[], None] | None,
    other: Callable[[], Coroutine[None, None, str]] | None,
) -> Connection:
    """The whole race; the losers are closed. Raises NetworkError."""
    tasks, winner = list[asyncio.Task[Connection | None]](), None
    sought: asyncio.Task[str] | None = None
    try:
        async with asyncio.timeout(timeout) as deadline:
            if other is not None:
                sought = spawn(other(), "another server")
                sought.add_done_callback(lambda task: race.overtake(task, deadline))
            race.endpoints = interleave(await find())
            winner = await _run(race, tasks, meanwhile)
            if winner is None and sought is not None and not race.was_answered:
                await asyncio.wait((sought,))
    except TimeoutError:
        raise race.silence(timeout) from None
    finally:
        await cancel(*(task for task in (*tasks, sought) if task and not task.done()))
        for connection in race.started:
            if connection is not winner:
                connection.close()
    if winner is None:
        raise race.error()
    return winner


async def _run(
    race: _Race,
    tasks: list[asyncio.Task[Connection | None]],
    meanwhile: Callable[[], None] | None,
) -> Connection | None:
    """The first connection that stands; None when all attempts have failed."""
    pending: set[asyncio.Task[Connection | None]] = set()
    if race.open_stream is not None:
        tasks.append(spawn(race.attempt_stream(), "dial by a stream"))
        pending.add(tasks[0])
    for endpoint in race.endpoints:
        connection = race.start(endpoint)
        if connection is None:
            continue
        if meanwhile is not None:
            meanwhile()
            meanwhile = None
        task = spawn(race.attempt(endpoint, connection), f"dial {endpoint}")
        tasks.append(task)
        pending.add(task)
        winner = await _first(pending, ATTEMPT_DELAY)
        if winner is not None:
            return winner
    return await _first(pending, None)


async def _first(
    pending: set[asyncio.Task[Connection | None]], delay: float | None
) -> Connection | None:
    """A connection as soon as there is one. None after the delay, or when an attempt has failed
    and the next is due; without a delay, when all have failed."""
    while pending:
        done, _ = await asyncio.wait(pending, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        pending -= done
        for task in done:
            if (winner := task.result()) is not None:
                return winner
        if delay is not None:
            return None
    return None
