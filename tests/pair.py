"""Two connections over a simulated network on a virtual clock: no sleep, no socket.

    async def main():
        async with Pair(Conditions(latency=0.05, loss=0.01)) as pair:
            channel = pair.client.open_channel(SessionOpen())
            ...
    run(main())

The clock of `VirtualLoop` jumps to the next timer as soon as nothing is left to do, so hours pass
in milliseconds and every run with one seed is the same.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.udp import DatagramReceiver
from qsh.quic import engine as engines
from qsh.quic.engine import EngineConfig, ServerIdentity, Transmit
from qsh.quic.events import Address
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.connection import Role

T = TypeVar("T")

CLIENT_ADDRESS = ("192.0.2.1", 40000)
SERVER_ADDRESS = ("192.0.2.2", 22)
TICK = 1e-9
"""Seconds that the datagrams of two calls of `send` arrive apart at least."""
PATIENCE = 10.0
"""Real seconds to wait for a thread when no timer is left."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where a loop would sleep, the clock jumps."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            events = super().select(PATIENCE)
            if not events:
                raise RuntimeError("everybody waits and nothing will ever happen")
            return events
        self.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """The result of `main` on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


@dataclass(frozen=True)
class Conditions:
    """What one direction of the network does. Times in seconds."""

    latency: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    """Share of the datagrams that come `reorder_delay` later than they should."""
    reorder_delay: float = 0.01
    duplicate: float = 0.0
    rate: float | None = None
    """Bytes per second; None for no limit."""
    queue: int = 256 * 1024
    """Bytes that may wait for the rate; more is dropped."""
    mtu: int = 65535
    """Bytes of UDP payload; more is dropped."""


class _Direction:
    """One way through the network."""

    def __init__(self, conditions: Conditions, seed: int) -> None:
        self.conditions = conditions
        self.target: SimulatedLink | None = None
        self.is_cut = False
        self.sent = 0
        self.dropped = 0
        self._random = random.Random(seed)
        self._loop = asyncio.get_running_loop()
        self._free_at = 0.0
        self._earliest = self._latest = 0.0

    def carry(self, datagrams: list[bytes], source: Address) -> None:
        arrivals: dict[float, list[bytes]] = {}
        # Timers with one deadline fire in any order, and a network mostly keeps the order.
        self._earliest = self._latest + TICK
        for datagram in datagrams:
            for when in self._arrivals(datagram):
                arrivals.setdefault(when, []).append(datagram)
        for when, together in arrivals.items():
            self._loop.call_at(when, self._deliver, together, source)

    def _arrivals(self, datagram: bytes) -> list[float]:
        conditions, chance = self.conditions, self._random.random
        self.sent += 1
        now = self._loop.time()
        if self.is_cut or len(datagram) > conditions.mtu or chance() < conditions.loss:
            self.dropped += 1
            return []
        leaves = now
        if conditions.rate is not None:
            leaves = max(self._free_at, now)
            if (leaves - now) * conditions.rate > conditions.queue:
                self.dropped += 1
                return []
            leaves += len(datagram) / conditions.rate
            self._free_at = leaves
        when = max(leaves + conditions.latency, self._earliest)
        self._latest = max(self._latest, when)
        if chance() < conditions.reorder:
            when += conditions.reorder_delay
        return [when, when] if chance() < conditions.duplicate else [when]

    def _deliver(self, datagrams: list[bytes], source: Address) -> None:
        if self.target is not None and not self.is_cut:
            self.target.deliver(datagrams, source)


class SimulatedLink:
    """One end of the network: a qsh.net.udp.DatagramLink."""

    def __init__(self, local: Address, remote: Address, out: _Direction) -> None:
        self.local = local
        self.remote = remote
        self.is_writable = True
        self.largest_payload = 1452
        self.is_closed = False
        self.flights: list[tuple[float, int]] = []
        """When, and how many bytes, each `send` sent."""
        self._out = out
        self._receiver: DatagramReceiver | None = None

    def start(self, receiver: DatagramReceiver) -> None:
        self._receiver = receiver

    def send(self, transmits: list[Transmit]) -> None:
        now = asyncio.get_running_loop().time()
        self.flights.append((now, sum(len(transmit.data) for transmit in transmits)))
        datagrams = []
        for transmit in transmits:
            size = transmit.segment_size
            assert size > 0
            assert len(transmit.data) <= 65000
            assert len(transmit.data) <= 64 * size
            starts = range(0, len(transmit.data), size)
            datagrams += [transmit.data[start : start + size] for start in starts]
        if not self.is_closed:
            self._out.carry(datagrams, self.local)

    def deliver(self, datagrams: list[bytes], source: Address) -> None:
        """Hand over datagrams that came at one time, in runs as GRO would."""
        if self._receiver is None or self.is_closed:
            return
        for data, size in _runs(datagrams):
            self._receiver.receive_datagrams(data, size, source)
        self._receiver.batch_ended()

    def fail(self, error: OSError) -> None:
        """As if the kernel reported this."""
        assert self._receiver is not None
        self._receiver.link_failed(error)

    def close(self) -> None:
        self.is_closed = True


def _runs(datagrams: list[bytes]) -> list[tuple[bytes, int]]:
    runs: list[tuple[list[bytes], int]] = []
    for datagram in datagrams:
        parts, size = runs[-1] if runs else ([], 0)
        if parts and len(parts[-1]) == size >= len(datagram) and len(parts) < 40:
            parts.append(datagram)
        else:
            runs.append(([datagram], len(datagram)))
    return [(b"".join(parts), size) for parts, size in runs]


class Network:
    """Both directions between two links. May be cut and mended, and changed while in use."""

    def __init__(
        self,
        conditions: Conditions = Conditions(),
        seed: int = 1,
        server_address: Address = SERVER_ADDRESS,
    ) -> None:
        self.to_server = _Direction(conditions, seed)
        self.to_client = _Direction(conditions, seed + 1)
        self.client = SimulatedLink(CLIENT_ADDRESS, server_address, self.to_server)
        self.server = SimulatedLink(server_address, CLIENT_ADDRESS, self.to_client)
        self.to_server.target = self.server
        self.to_client.target = self.client

    def change(self, **values: object) -> None:
        """New conditions, in both directions."""
        for direction in (self.to_server, self.to_client):
            direction.conditions = replace(direction.conditions, **values)  # type: ignore[arg-type]

    def new_path(self, local: Address) -> SimulatedLink:
        """A link of the client's from another address. What is sent to the old one is lost."""
        self.client = SimulatedLink(local, self.server.local, self.to_server)
        self.to_client.target = self.client
        return self.client

    def rebind(self, public: Address) -> None:
        """A NAT has forgotten the client: its packets come from another address from now on."""
        self.client.local = public

    def cut(self) -> None:
        """Nothing arrives any more, in either direction."""
        self.to_server.is_cut = self.to_client.is_cut = True

    def mend(self) -> None:
        """All is well again."""
        self.to_server.is_cut = self.to_client.is_cut = False


Identify = Callable[[bytes], ServerIdentity]
"""The client's first destination connection ID to the server's TLS identity."""

_identity: ServerIdentity | None = None


def unattested(_original_id: bytes = b"") -> ServerIdentity:
    """A TLS identity whose attestation nobody has signed: made once, as it takes time."""
    global _identity
    if _identity is None:
        from qsh.quic.identity import encode_attestation, make_certificate, new_identity_key

        attestation = encode_attestation(b"host key", bytes(32), b"signature")
        _identity = make_certificate(new_identity_key(), attestation)
    return _identity


class Acceptor:
    """What stands at the server's link until the first datagram makes a connection of it."""

    def __init__(
        self,
        link: SimulatedLink,
        engine: str | None,
        config: EngineConfig,
        identify: Identify = unattested,
    ) -> None:
        self.connection: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._link = link
        self._engine = engine
        self._config = config
        self._identify = identify
        link.start(self)

    def receive_datagrams(self, data: bytes, segment_size: int, remote: Address) -> None:
        if len(data) < 1200 or not data[0] & 0x80:
            return  # no Initial
        original_id = data[6 : 6 + data[5]]  # RFC 8999 section 5.1
        engine = engines.load(self._engine).new_server(
            self._config,
            self._identify(original_id),
            original_destination_connection_id=original_id,
            retry_source_connection_id=None,
            now=asyncio.get_running_loop().time(),
        )
        connection = Connection(Role.SERVER, engine, self._link)
        connection.start()
        starts = range(0, len(data), segment_size)
        connection.receive_datagrams([data[s : s + segment_size] for s in starts], remote)
        self.connection.set_result(connection)

    def batch_ended(self) -> None:
        pass

    def link_writable(self) -> None:
        pass

    def link_failed(self, error: OSError) -> None:
        pass


class Pair:
    """A client and a server whose handshake is complete; nobody is logged in."""

    client: Connection
    server: Connection

    def __init__(
        self,
        conditions: Conditions = Conditions(),
        *,
        seed: int = 1,
        client_engine: str | None = None,
        server_engine: str | None = None,
        config: EngineConfig | None = None,
        identify: Identify = unattested,
    ) -> None:
        self.network = Network(conditions, seed)
        self._identify = identify
        self._config = config or EngineConfig()
        self._client_engine = client_engine
        self._server_engine = server_engine

    async def __aenter__(self) -> "Pair":
        loop = asyncio.get_running_loop()
        acceptor = Acceptor(self.network.server, self._server_engine, self._config, self._identify)
        factory = engines.load(self._client_engine)
        engine = factory.new_client(self._config, "", SERVER_ADDRESS, loop.time())
        self.client = Connection(Role.CLIENT, engine, self.network.client, name="server")
        self.client.start()
        await self.client.handshaken()
        self.server = await acceptor.connection
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.close()
        self.server.close()

    async def log_in(self) -> None:
        """Bring both to where channels may be used."""
        from qsh.wire.userauth_messages import NoneRequest

        self.client.trust()
        self.client.wire.client_login.request("user", NoneRequest())
        await self.server.next_login_event()
        self.server.wire.server_login.accept()
        await self.server.next_login_event()
        await self.client.next_login_event()

    async def open_channel(self) -> tuple[Channel, Channel]:
        """A session channel that is open, as the client and as the server have it."""
        ours = self.client.open_channel(SessionOpen())
        theirs = await self.server.accept_channel()
        assert theirs is not None
        theirs.accept()
        await ours.opened()
        return ours, theirs


async def write_all(channel: Channel, data: bytes) -> None:
    """Send it, and EOF."""
    await channel.write(data)
    channel.write_eof()


async def read_all(channel: Channel, data_type: int = 0) -> bytes:
    """Everything up to EOF."""
    parts = []
    while data := await channel.read(data_type):
        parts.append(data)
    return b"".join(parts)
