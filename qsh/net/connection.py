"""An awaitable connection, of either role: handshake, login, channels, global requests.

Puts a driver under the wire protocol and gives each of its events to whoever waits for it. Has no
task of its own: everything happens in callbacks of the loop and in the tasks of its users.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable

from qsh.errors import DisconnectReason, LocalProtocolError, NetworkError, RequestError
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.datagrams import DatagramQueue
from qsh.net.driver import Driver
from qsh.net.endings import is_farewell, is_loss, loss_error
from qsh.net.endpoint import Endpoint
from qsh.net.inbox import Inbox, Signal
from qsh.net.paths import Paths
from qsh.net.room import Room
from qsh.net.udp import DatagramLink
from qsh.quic.engine import Engine, Stats
from qsh.quic.events import Address, ConnectionClosed, HandshakeCompleted
from qsh.wire.channel import Channel as WireChannel
from qsh.wire.connection import Connection as WireConnection
from qsh.wire.connection import Role
from qsh.wire.datagram import encode_datagrams, encode_varint
from qsh.wire.events import (
    ChannelClosed,
    ChannelConfirmed,
    ChannelOffered,
    ChannelRefused,
    DatagramsArrived,
    DataReceived,
    EofReceived,
    GlobalAnswered,
    GlobalRequested,
    LoginEvent,
    PingReceived,
    RequestAnswered,
    RequestReceived,
    WindowGrew,
)
from qsh.wire.events import Event as WireEvent
from qsh.wire.global_messages import PathSeen
from qsh.wire.userauth import ClientLogin, ServerLogin

_log = logger("net")

MAX_WAITING = 1024
"""Events of each kind that may wait to be looked at."""
WINDOWS = 128 << 20
"""Bytes that the windows of one connection's channels may grow to, together."""
_CHANNEL_EVENTS = (
    DataReceived,
    WindowGrew,
    RequestReceived,
    RequestAnswered,
    EofReceived,
    ChannelConfirmed,
    ChannelRefused,
    ChannelClosed,
    DatagramsArrived,
    PingReceived,
)


class Connection:
    """One connection.

    Attributes: `wire` and `engine`, the floors below; `channels`, the open ones; `name`, what
    errors call the peer; `key_exchange`, the TLS group, once known; `last_network_error`; `paths`,
    its links; `endpoints`, at a client, the server's addresses, that in use first; `migrations`,
    how often a client has moved; `vigil`, which knows about silence; `was_left`, whether the peer
    has ended it and meant to, `was_lost`, whether nobody did; `on_path_changed`, called at a server
    with the peer's new address, at a client with its own as the server sees it. Whoever awaits gets
    NetworkError when the connection ends, unless said otherwise.
    """

    def __init__(
        self,
        role: Role,
        engine: Engine,
        link: DatagramLink,
        *,
        name: str = "",
        grease: int | None = None,
    ) -> None:
        self.engine = engine
        self.wire = WireConnection(role, self._wake, grease=grease)
        self.name = name or (f"{link.remote[0]} port {link.remote[1]}" if link.remote else "peer")
        self.room = Room(engine, self._wake)
        self.datagrams = DatagramQueue(engine)
        self.key_exchange = ""
        self.last_network_error: OSError | None = None
        self.paths = Paths(link, hides_peer=role is Role.CLIENT)
        self.endpoints: tuple[Endpoint, ...] = ()
        self.migrations = 0
        self.on_path_changed: Callable[[Address], None] = lambda _remote: None
        self._loop = asyncio.get_running_loop()
        self._driver = Driver(engine, self.wire, self.paths, self)
        self.vigil = self._driver.vigil
        self.channels: dict[int, Channel] = {}
        self._offers: Inbox[Channel] = Inbox(MAX_WAITING)
        self._login_events: Inbox[LoginEvent] = Inbox(MAX_WAITING)
        self._requests: Inbox[GlobalRequested] = Inbox(MAX_WAITING)
        self._answers: deque[asyncio.Future[bytes | None]] = deque()
        self._changed = Signal()
        self._was_established = self.was_left = self.was_lost = False
        self._closed: ConnectionClosed | None = None
        self._error: NetworkError | None = None
        self._told: set[int | None] = set()

    @classmethod
    def serve(
        cls, sock: socket.socket, engine: Engine, first_datagrams: Iterable[bytes], remote: Address
    ) -> "Connection":
        """A server's connection on a connected socket, which it owns from now on.
        `first_datagrams` are those that had arrived before."""
        from qsh.net.stream_link import link_on

        connection = cls(Role.SERVER, engine, link_on(sock, remote))
        connection.start()
        connection.receive_datagrams(first_datagrams, remote)
        return connection

    def start(self) -> None:
        """Begin; a client's first flight leaves before this returns."""
        self._driver.start()

    def receive_datagrams(self, datagrams: Iterable[bytes], remote: Address) -> None:
        """Take datagrams that came by another way than the link."""
        for datagram in datagrams:
            self._driver.receive_datagrams(datagram, len(datagram), remote)
        self._driver.batch_ended()

    # facts

    @property
    def local(self) -> Address:
        """Our address."""
        return self.paths.local

    @property
    def remote(self) -> Address | None:
        """The peer's address."""
        known = None if self.wire.role is Role.CLIENT else self.engine.stats.remote
        return known or self.paths.remote

    @property
    def engine_name(self) -> str:
        """`aioquic` or `quinn`."""
        return self.engine.name

    @property
    def stats(self) -> Stats:
        """Facts about the path."""
        return self.engine.stats

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended."""
        return self._closed is not None

    @property
    def peer_certificate(self) -> bytes | None:
        """The server's certificate in DER; None at the server and before the handshake."""
        return self.engine.peer_certificate

    @property
    def original_destination_connection_id(self) -> bytes:
        """The client's first destination connection ID."""
        return self.engine.original_destination_connection_id

    def export_keying_material(self, label: bytes, context: bytes, length: int) -> bytes:
        """RFC 8446 section 7.5. Raises LocalProtocolError before the handshake is complete."""
        return self.engine.export_keying_material(label, context, length)

    def now(self) -> float:
        """The loop's time."""
        return self._loop.time()

    # handshake and login

    async def handshaken(self, *, give_up: frozenset[int] = frozenset()) -> None:
        """Until the handshake is complete. Raises OSError if the network refuses datagrams
        before that, with one of the error numbers `give_up`."""
        while not self._was_established:
            self._check_alive()
            error = self.last_network_error
            if error is not None and error.errno in give_up:
                raise error
            await self._changed.wait()

    @property
    def login(self) -> ClientLogin | ServerLogin:
        """The login dialogue of our role; its answers come by `next_login_event`."""
        return self.wire.login

    def trust(self) -> None:
        """At the client: the host has proved who it is; begin to listen to it."""
        self._driver.protect(self.wire.trust)

    async def next_login_event(self) -> LoginEvent:
        """What the peer says about the login."""
        event = await self._login_events.get()
        if event is None:
            raise self._ended_error()
        return event

    # channels

    def open_channel(self, body: object) -> Channel:
        """Open a channel: sent at once, also before the login is done. `body` is one of
        wire.channel_messages' opens."""
        self._check_alive()
        if not self._was_established:
            raise LocalProtocolError("no channel before the handshake is complete")
        return self._adopt(self.wire.open_channel(self.engine.open_stream(), body))

    async def accept_channel(self) -> Channel | None:
        """The peer's next channel, to be accepted or refused; None when the connection ends."""
        return await self._offers.get()

    def _adopt(self, wire: WireChannel) -> Channel:
        channel = Channel(self, wire)
        self.channels[wire.stream_id] = channel
        return channel

    # global requests

    async def request(self, body: object, want_reply: bool = True) -> bytes:
        """Send a global request; the answer's data. Raises RequestError if it is refused."""
        self._check_alive()
        if not want_reply:
            self.wire.request(body)
            return b""
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        self._answers.append(future)
        self.wire.request(body, want_reply=True)
        data = await future
        if data is None:
            raise RequestError(f"{self.name} refuses {getattr(body, 'name', 'the request')}")
        return data

    async def next_request(self) -> GlobalRequested | None:
        """The peer's next global request; None when the connection ends."""
        return await self._requests.get()

    def answer(self, request: GlobalRequested, data: bytes | None) -> None:
        """Answer a global request, in the order they came; None refuses it."""
        if request.want_reply and self._closed is None:
            self.wire.answer(data)
            self._changed.set_off()

    async def requests_answered(self) -> None:
        """Until no global request of the peer that came so far waits for its answer."""
        while self.wire.unanswered and self._closed is None:
            await self._changed.wait()

    # the path

    def moved(self) -> None:
        """At a client: `paths` has another link in use. The peer learns of it at once."""
        self.migrations += 1
        _log.debug1("now sending from %s port %d", *self.paths.local)
        if self._closed is None:
            self.engine.migrate(self._loop.time())
            self._driver.aside.moved(self._loop.time() - self.vigil.since_heard)
            self._wake()

    # the end

    def close(self, code: int = DisconnectReason.BY_APPLICATION, text: str = "") -> None:
        """End the connection: the peer is told code and text at once."""
        self._driver.close(code, text)

    async def wait_closed(self) -> ConnectionClosed:
        """Until the connection is over, and how it ended. Never raises NetworkError."""
        while self._closed is None:
            await self._changed.wait()
        return self._closed

    def _check_alive(self) -> None:
        if self._closed is not None:
            raise self._ended_error()

    def _ended_error(self) -> NetworkError:
        return self._error or NetworkError(f"connection to {self.name} closed")

    # for the channels

    def may_grow(self, more: int) -> bool:
        """Whether the windows of all channels together may become so many bytes larger."""
        return more + sum(channel.wire.window for channel in self.channels.values()) <= WINDOWS

    def push(self) -> None:
        """Hand to the engine what was written."""
        self._driver.push()

    def send_datagrams(self, channel: Channel, payloads: list[bytes]) -> int:
        """Send them unreliably; how many found room, the first ones. Each must fit the path
        (`max_datagram`)."""
        if self._closed is not None:
            return 0
        self._wake()
        return self.datagrams.put(encode_datagrams(channel.wire.stream_id, payloads))

    def max_datagram(self, channel: Channel) -> int:
        """Bytes of the largest payload that fits the path now; 0 if the peer takes none."""
        limit = self.engine.max_datagram_payload or 0
        return max(0, limit - len(encode_varint(channel.wire.stream_id)))

    def set_priority(self, channel: Channel) -> None:
        """Tell the engine the channel's priority."""
        if self._closed is None:
            self.engine.set_priority(channel.wire.stream_id, channel.priority)

    def _wake(self) -> None:
        self._driver.wake()

    # from the driver

    def handshake_completed(self, event: HandshakeCompleted) -> None:
        """The application may begin."""
        self._was_established = True
        self.key_exchange = event.key_exchange
        _log.debug1("connected to %s by %s", self.name, self.engine.name)
        self._changed.set_off()

    def wire_event(self, event: WireEvent) -> None:
        """Give the event to whoever waits for it."""
        if isinstance(event, _CHANNEL_EVENTS):
            self._channel_event(event)
        elif isinstance(event, ChannelOffered):
            self._offers.put(self._adopt(event.channel))
        elif isinstance(event, GlobalRequested):
            seen = event.body if isinstance(event.body, PathSeen) else None
            if seen is None:
                self._requests.put(event)
            else:
                self.on_path_changed((seen.host, seen.port))
        elif isinstance(event, GlobalAnswered):
            future = self._answers.popleft()
            if not future.done():
                future.set_result(event.data)
        else:
            self._login_events.put(event)

    def _channel_event(
        self,
        event: DataReceived | WindowGrew | RequestReceived | RequestAnswered | EofReceived
        | PingReceived | ChannelConfirmed | ChannelRefused | ChannelClosed | DatagramsArrived,
    ) -> None:  # fmt: skip
        channel = self.channels.get(event.channel.stream_id)
        if channel is None:
            return  # it was refused before it was offered, or is over
        channel.handle(event)
        if isinstance(event, ChannelClosed):
            self.channels.pop(event.channel.stream_id, None)

    def flushing(self) -> None:
        """Add the datagrams whose turn it is."""
        self.datagrams.hand_over(self.room.is_wanted)

    def flushed(self) -> None:
        """Let the channels that wait for room go on."""
        self.room.share_out()

    def path_changed(self, remote: Address) -> None:
        """The peer has moved: tell it where it is seen, and whoever wants to know."""
        _log.debug1("the peer is now at %s port %d", *remote)
        if self.wire.role is Role.SERVER and self.wire.is_open:
            self.wire.request(PathSeen(*remote))
        self.on_path_changed(remote)

    def link_failed(self, error: OSError) -> None:
        """May be passing: silence decides. But whoever dials takes the network's word."""
        if error.errno not in self._told:
            self._told.add(error.errno)
            _log.debug1("network: %s", error.strerror or error)
        self.last_network_error = error
        self._changed.set_off()

    def connection_ended(self, closed: ConnectionClosed) -> None:
        """Tell everybody who waits."""
        self._closed = closed
        self._error = error = loss_error(closed, self.name)
        self.was_left, self.was_lost = is_farewell(closed), is_loss(closed)
        _log.debug1("%s", error)
        for channel in list(self.channels.values()):
            channel.end(error)
        for future in self._answers:
            if not future.done():
                future.set_exception(error)
        self._answers.clear()
        for inbox in (self._offers, self._login_events, self._requests):
            inbox.end()
        self._changed.set_off()
