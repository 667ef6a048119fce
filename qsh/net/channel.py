"""An awaitable channel: read, write, request, half-close, with back-pressure both ways.

Reading is what gives the peer window: a reader who stops costs this side at most the window, and
stalls nobody else. Writing waits for the peer's window and for room in the engine.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from qsh.errors import ChannelOpenError, NetworkError, OpenFailure
from qsh.net.inbox import Inbox, Signal
from qsh.record import record
from qsh.wire.channel import DATA_TYPES, MAX_WINDOW
from qsh.wire.channel import Channel as WireChannel
from qsh.wire.events import (
    ChannelClosed,
    ChannelConfirmed,
    ChannelEvent,
    ChannelRefused,
    DatagramsArrived,
    DataReceived,
    EofReceived,
    PingReceived,
    RequestAnswered,
    RequestReceived,
    WindowGrew,
)
from qsh.wire.states import Half

if TYPE_CHECKING:
    from qsh.net.connection import Connection

READ_LIMIT = 1 << 20
"""Bytes that one read gives at most, unless it asks otherwise."""
ENOUGH = 64 * 1024
"""Bytes of one read that are not worth joining with more: a copy costs more than another read."""
WRITE_SIZE = 256 * 1024
"""Bytes of one data message: large enough to make its cost vanish, small enough that other
channels get their turn."""
MAX_REQUESTS = 1024
"""Requests that may wait to be looked at."""
GROWTH_ROUNDS = 2.0
"""The window doubles when half of it was consumed within so many round trips: it settles at four
to eight times the bandwidth-delay product, and idle or slow readers stay at the initial size."""


@record
class IncomingRequest:
    """A channel request of the peer. `body` is one of wire.channel_messages, or
    UnknownRequest."""

    body: object
    want_reply: bool


class Channel:
    """One channel. Made by Connection.open_channel and Connection.accept_channel.

    Everything that awaits raises NetworkError when the connection ends or the channel is
    aborted; what had arrived before can still be read.
    """

    def __init__(self, connection: "Connection", wire: WireChannel) -> None:
        self.wire = wire
        self.connection = connection
        self.priority = 0
        self.activity = 0
        """Grows with all that goes through the channel."""
        self.on_datagrams: Callable[[list[bytes]], None] | None = None
        """Called with the datagrams of the channel's flow; without it they are dropped."""
        self._buffers: dict[int, deque[bytes]] = {kind: deque() for kind in DATA_TYPES}
        self._unread = dict.fromkeys(DATA_TYPES, 0)
        self._requests: Inbox[IncomingRequest] = Inbox(MAX_REQUESTS)
        self._answers: deque[asyncio.Future[bool]] = deque()
        self._changed = Signal()
        self._writable = Signal()
        self._opened: ChannelOpenError | bool = False
        self._at_eof = False
        self._is_over = False
        self._is_dropping = False
        self._error: NetworkError | None = None
        self._epoch_start = connection.now()
        self._epoch_bytes = 0

    @property
    def kind(self) -> str:
        """Its type: `session`, `direct-tcpip`, …"""
        return self.wire.kind

    @property
    def body(self) -> object:
        """What its open says, as one of wire.channel_messages, or UnknownOpen."""
        return self.wire.body

    @property
    def unread(self) -> int:
        """Bytes received that nobody has read yet."""
        return sum(self._unread.values())

    @property
    def is_over(self) -> bool:
        """Closed in both directions, aborted, or gone with its connection."""
        return self._is_over

    @property
    def was_left(self) -> bool:
        """Whether the peer has ended it as it should: closed in order, or with its whole
        connection. Else it was lost."""
        return self._is_over and (self._error is None or self.connection.was_left)

    @property
    def failure(self) -> NetworkError | None:
        """Why it did not end as it should; None if it did, or has not ended."""
        return self._error

    # opening

    async def opened(self) -> None:
        """Until the peer has confirmed the channel. Raises ChannelOpenError if it refuses."""
        while self._opened is not True:
            if isinstance(self._opened, ChannelOpenError):
                raise self._opened
            self._check_alive()
            await self._changed.wait()

    def accept(self) -> None:
        """Confirm the peer's channel."""
        if not self._is_over:
            self.wire.accept()

    def refuse(self, reason: OpenFailure, text: str) -> None:
        """Refuse the peer's channel."""
        if not self._is_over:
            self.wire.refuse(reason, text)
            self._drop_unread()

    # data

    async def read(self, data_type: int = 0, limit: int = READ_LIMIT) -> bytes:
        """Some bytes, up to `limit`; empty at EOF."""
        while not self._buffers[data_type]:
            if self._error is not None:
                raise self._error
            if self._at_eof or self._is_over:
                return b""
            await self._changed.wait()
        data = self._take(data_type, limit)
        self._unread[data_type] -= len(data)
        self.wire.consumed(len(data), data_type)
        self._grow_window(len(data))
        return data

    def _take(self, data_type: int, limit: int) -> bytes:
        buffer = self._buffers[data_type]
        parts, count = [], 0
        while buffer and count < min(limit, ENOUGH):
            part = buffer.popleft()
            if count + len(part) > limit:
                buffer.appendleft(part[limit - count :])
                part = part[: limit - count]
            parts.append(part)
            count += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _grow_window(self, count: int) -> None:
        self._epoch_bytes += count
        window = self.wire.window
        if window >= MAX_WINDOW or self._epoch_bytes < window // 2:
            return
        now = self.connection.now()
        keeps_up = now - self._epoch_start < GROWTH_ROUNDS * self.connection.stats.smoothed_rtt
        is_open = self.wire.sending is not Half.CLOSED
        if keeps_up and is_open and self.connection.may_grow(window):
            self.wire.grow_window(2 * window)
        self._epoch_start, self._epoch_bytes = now, 0

    async def write(self, data: bytes, data_type: int = 0) -> None:
        """Send all of it: waits until the peer's window and the engine have taken it."""
        start, total = 0, len(data)
        while True:
            self._check_alive()
            if self.wire.sending is Half.CLOSED:
                raise NetworkError("the channel is closed")
            room = self._room(data_type)
            if room:
                count = min(room, WRITE_SIZE, total - start)
                piece = data if count == total else data[start : start + count]
                start += self.wire.send_data(piece, data_type)
                self.activity += 1
                self.connection.push()
            if start == total:
                return
            if not self.wire.send_window(data_type):
                await self._writable.wait()
            elif not self.connection.room.left(self):
                await self._wait_for_room()

    def _room(self, data_type: int) -> int:
        window = self.wire.send_window(data_type)
        return min(window, self.connection.room.left(self)) if window else 0

    async def _wait_for_room(self) -> None:
        self.connection.room.wait(self)
        try:
            await self._writable.wait()
        finally:
            self.connection.room.stop_waiting(self)

    def write_eof(self) -> None:
        """No more data from us, of any type; requests may follow."""
        if not self._is_over and self.wire.sending is Half.FLOWING:
            self.wire.send_eof()

    # datagrams

    def send_datagrams(self, payloads: list[bytes]) -> int:
        """Send them unreliably and unordered. Each must fit the path now (`max_datagram`). How
        many of the first ones are sent: fewer if too many wait, none if the channel is over."""
        self.activity += len(payloads)
        return 0 if self._is_over else self.connection.send_datagrams(self, payloads)

    @property
    def max_datagram(self) -> int:
        """Bytes of the largest payload that `send_datagrams` takes now; 0 if the peer takes
        none."""
        return self.connection.max_datagram(self)

    # requests

    def ask(self, body: object) -> "asyncio.Future[bool]":
        """Send a request now; the future has the peer's answer, in time."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_retrieve)
        if self._is_over or self.wire.sending is Half.CLOSED:
            future.set_exception(self._error or NetworkError("the channel is closed"))
            return future
        self._answers.append(future)
        self.wire.send_request(body, want_reply=True)
        return future

    async def request(self, body: object) -> bool:
        """Send a request; whether the peer granted it."""
        return await self.ask(body)

    def send_request(self, body: object) -> None:
        """Send a request that wants no answer. Nothing happens if the channel is closed."""
        if not self._is_over and self.wire.sending is not Half.CLOSED:
            self.wire.send_request(body)

    def ping(self, data: bytes) -> None:
        """Send what looks like `data` and means nothing. Nothing happens if the channel is
        closed, or has much to send."""
        is_open = not self._is_over and self.wire.sending is Half.FLOWING
        if is_open and self.connection.room.left(self):
            self.wire.ping(data)

    async def next_request(self) -> IncomingRequest | None:
        """The peer's next request; None once the channel is closed."""
        request = await self._requests.get()
        if request is None and self._error is not None:
            raise self._error
        return request

    def answer(self, request: IncomingRequest, ok: bool) -> None:
        """Answer a request, in the order they came."""
        if request.want_reply and not self._is_over:
            self.wire.answer(ok)

    def set_priority(self, priority: int) -> None:
        """Larger goes first: 2 for an interactive session, 0 normal, -1 bulk."""
        self.priority = priority
        self.connection.set_priority(self)

    # the end

    def close(self) -> None:
        """Close in an orderly way, after all that was written. What has not been read, and what
        still comes, is dropped."""
        self._drop_unread()
        if not self._is_over:
            self.wire.close()

    def abort(self, code: int) -> None:
        """Close at once: what is under way is lost in both directions."""
        self._drop_unread()
        if not self._is_over:
            self.wire.abort(code)

    async def wait_closed(self) -> None:
        """Until the channel is over, in whatever way."""
        while not self._is_over:
            await self._changed.wait()

    def _drop_unread(self) -> None:
        self._is_dropping = True
        for data_type in DATA_TYPES:
            self._buffers[data_type].clear()
            self._unread[data_type] = 0

    def _check_alive(self) -> None:
        if self._error is not None:
            raise self._error
        if self._is_over:
            raise NetworkError("the channel is closed")

    # from the connection

    def handle(self, event: ChannelEvent) -> None:
        """Take in what the protocol reports of this channel."""
        match event:
            case DataReceived(_, data_type, data):
                self._receive(data_type, data)
            case WindowGrew():
                self.room_changed()
                return
            case DatagramsArrived(_, payloads):
                self.activity += len(payloads)
                if self.on_datagrams is not None:
                    self.on_datagrams(payloads)
                return
            case RequestReceived(_, body, want_reply):
                self._requests.put(IncomingRequest(body, want_reply))
                return
            case RequestAnswered(_, ok):
                _settle(self._answers.popleft(), ok)
                return
            case PingReceived(_, payload):
                if self.connection.room.left(self):
                    self.wire.pong(payload)
                return
            case EofReceived():
                self._at_eof = True
            case ChannelConfirmed():
                self._opened = True
            case ChannelRefused(_, reason, description):
                self._opened = ChannelOpenError(reason, description)
            case ChannelClosed(_, code):
                self.end(None if code is None else NetworkError("the channel was aborted"))
        self._changed.set_off()

    def _receive(self, data_type: int, data: bytes) -> None:
        self.activity += 1
        if self._is_dropping:
            self.wire.consumed(len(data), data_type)
            return
        self._buffers[data_type].append(data)
        self._unread[data_type] += len(data)

    def end(self, error: NetworkError | None) -> None:
        """The channel is over; with an error it did not end as it should."""
        if self._is_over:
            return
        self._is_over = True
        self._error = error
        self._requests.end()
        while self._answers:
            future = self._answers.popleft()
            if not future.done():
                future.set_exception(error or NetworkError("the channel was closed"))
        self._changed.set_off()
        self._writable.set_off()

    def room_changed(self) -> None:
        """The peer's window has grown, or the engine may have room again."""
        self._writable.set_off()


def _settle(future: "asyncio.Future[bool]", ok: bool) -> None:
    if not future.done():
        future.set_result(ok)


def _retrieve(future: "asyncio.Future[bool]") -> None:
    """Nobody has to look at the answer; the end of the channel is told in other ways too."""
    if not future.cancelled():
        future.exception()
