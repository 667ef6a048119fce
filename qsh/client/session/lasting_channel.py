"""A session's channel that lasts when its connection does not.

Keeps what the server may not have of the input, counts what has come of the output, and goes on
over another connection where the old one stopped: not a byte lost, none doubled. To its users it
is a channel like any other, that at times is slow.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

from qsh import log
from qsh.errors import NetworkError, QshError, RequestError
from qsh.net.channel import READ_LIMIT, Channel, IncomingRequest
from qsh.net.connection import Connection
from qsh.net.inbox import Inbox, Signal
from qsh.net.tasks import cancel, spawn
from qsh.record import record
from qsh.wire.channel import DATA_TYPES
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.replay import Replay
from qsh.wire.session_messages import (
    SESSION_LENGTH,
    AttachedRequest,
    AttachRequest,
    DetachRequest,
    KeepRequest,
    ProgressRequest,
    SentAwayRequest,
)
from qsh.wire.start_messages import PtyRequest

MOST_UNACKNOWLEDGED = 16 << 20
"""Bytes of input that the server may not have; then writing waits."""
PIECE = 256 * 1024
ACKNOWLEDGE_BYTES = 1 << 20
ACKNOWLEDGE_DELAY = 0.5
"""Output is acknowledged after so many bytes, of the 16 MiB that the server keeps, or so many
seconds."""
RESUME, TAKE_OVER, SHARE, WATCH = range(4)
"""How to attach (PROTOCOL.md section 7)."""
TAKEN_OVER, RESUMED, LAGGING, GONE = range(4)
"""Why one is attached no more."""
ANY_OFFSET = (1 << 64) - 1
INTERACTIVE = 2
MAX_REQUESTS = 1024

_log = log.logger("session")


@record
class Place:
    """Where to go on: the session by number or label, this client, and how it attaches."""

    session: str
    client: bytes
    mode: int = RESUME


def new_number() -> bytes:
    """For a session, or a client."""
    return os.urandom(SESSION_LENGTH)


Reconnect = Callable[[Callable[[Connection], None]], Awaitable[None]]
"""Makes a new connection, calls what it is given with it as soon as channels can be opened, and
returns when the login stands. Raises QshError when there is no hope."""


class LastingChannel:
    """`channel` is the one to begin with; `place` says what to attach to when it is lost; `pty`
    gives the request for a terminal of the size there is then, or None."""

    def __init__(self, channel: Channel, place: Place, reconnect: Reconnect,
                 pty: Callable[[], PtyRequest | None]) -> None:
        self.resumptions = 0
        self.dropped = 0
        """Bytes of output that the server could not keep for us."""
        self._channel = channel
        self._place = place
        self.label = place.session
        """What a user attaches to."""
        self._reconnect = reconnect
        self._pty = pty
        self._input = Replay()
        self._input_sent = 0
        self._input_ends = False
        self._received = dict.fromkeys(DATA_TYPES, 0)
        self._acknowledged = dict.fromkeys(DATA_TYPES, 0)
        self._acknowledging: asyncio.TimerHandle | None = None
        self._requests: Inbox[IncomingRequest] = Inbox(MAX_REQUESTS)
        self._changed = Signal()
        self._is_attached = True
        self._is_kept = False
        self._is_over = False
        self._error: QshError | None = None
        self._sent_away: SentAwayRequest | None = None
        self._granted: asyncio.Future[bool] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._life: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ as a channel

    @property
    def connection(self) -> Connection:
        """The one in use, or last in use."""
        return self._channel.connection

    @property
    def is_attached(self) -> bool:
        """Whether there is a way to the session now."""
        return self._is_attached and not self._channel.is_over

    @property
    def kept_number(self) -> bytes:
        """The session's, once the server has said that it keeps it; empty before."""
        return bytes.fromhex(self._place.session) if self._is_kept else b""

    def keep(self, label: str) -> None:
        """Ask that a new session be kept: before what starts it."""
        number = bytes.fromhex(self._place.session)
        self.label = label or self.label
        self._channel.send_request(KeepRequest(number, self._place.client, label))

    def attach(self) -> "asyncio.Future[bool]":
        """Ask for a session that is there, in the place of what starts one."""
        self._is_attached = False  # only when the server has said where
        return self._ask_attach(self._channel, ANY_OFFSET)

    async def until_kept(self) -> None:
        """Until the server has said that it keeps the session, or it is over."""
        while not self._is_kept and not self._is_over:
            await self._changed.wait()

    def detach(self) -> bool:
        """Let the session go on without us; False if it cannot."""
        if not self._is_kept or not self.is_attached:
            return False
        self._acknowledge_all()
        self._channel.send_request(DetachRequest())
        return True

    def begin(self) -> None:
        """All that begins a session has been asked for: from now on bytes flow."""
        self._life = spawn(self._live(), "lasting channel")

    def set_priority(self, priority: int) -> None:
        """As Channel's."""
        self._channel.set_priority(priority)

    def ask(self, body: object) -> "asyncio.Future[bool]":
        """As Channel's; for the requests that begin a session."""
        return self._channel.ask(body)

    async def opened(self) -> None:
        """As Channel's."""
        await self._channel.opened()

    def send_request(self, body: object) -> None:
        """As Channel's. What is sent while there is no way is lost, but for the window's size,
        which is told again."""
        self._channel.send_request(body)

    def ping(self, data: bytes) -> None:
        """As Channel's."""
        if self.is_attached:
            self._channel.ping(data)

    async def read(self, data_type: int = 0, limit: int = READ_LIMIT) -> bytes:
        """As Channel's. Reading on says that all that came before is in its place."""
        self._settle(data_type)
        while True:
            channel = self._channel
            if self._is_attached or self._is_over:  # what had come before the end is still there
                with contextlib.suppress(NetworkError):
                    data = await channel.read(data_type, limit)
                    if data:
                        self._received[data_type] += len(data)
                        return data
                    if not channel.is_over or self._is_over:
                        return b""  # the stream has ended
            if self._is_over:
                if self._error is not None:
                    raise self._error
                return b""
            if channel is self._channel:
                await self._changed.wait()

    async def write(self, data: bytes, data_type: int = 0) -> None:
        """As Channel's, but it waits only while too much is under way."""
        self._input.append(data)
        self._changed.set_off()
        while len(self._input) > MOST_UNACKNOWLEDGED and not self._is_over:
            await self._changed.wait()
        if self._error is not None:
            raise NetworkError(str(self._error))

    def write_eof(self) -> None:
        """As Channel's."""
        self._input_ends = True
        self._changed.set_off()

    async def next_request(self) -> IncomingRequest | None:
        """As Channel's."""
        request = await self._requests.get()
        if request is None and self._error is not None:
            raise self._error
        return request

    def answer(self, request: IncomingRequest, ok: bool) -> None:
        """As Channel's."""
        self._channel.answer(request, ok)

    async def wait_closed(self) -> None:
        """As Channel's."""
        while not self._is_over:
            await self._changed.wait()

    def close(self) -> None:
        """As Channel's."""
        if self._acknowledging is not None:
            self._acknowledging.cancel()
        if self._life is not None and not self._is_over:
            self._end(None)
            self._life.cancel()
        self._channel.close()

    # ------------------------------------------------------------ acknowledging

    def _settle(self, data_type: int) -> None:
        waiting = self._received[data_type] - self._acknowledged[data_type]
        if waiting >= ACKNOWLEDGE_BYTES:
            self._acknowledge(data_type)
        elif waiting and self._acknowledging is None:
            loop = asyncio.get_running_loop()
            self._acknowledging = loop.call_later(ACKNOWLEDGE_DELAY, self._acknowledge_all)

    def _acknowledge_all(self) -> None:
        self._acknowledging = None
        for data_type in DATA_TYPES:
            if self._received[data_type] > self._acknowledged[data_type]:
                self._acknowledge(data_type)

    def _acknowledge(self, data_type: int) -> None:
        offset = self._acknowledged[data_type] = self._received[data_type]
        if self._is_kept and self.is_attached:
            self._channel.send_request(ProgressRequest(data_type, offset))

    # ------------------------------------------------------------ one connection after the other

    async def _live(self) -> None:
        """Until the session is over, or no way leads to it any more."""
        try:
            while True:
                await self._use_channel()
                self._is_attached = False
                self._changed.set_off()
                loss = self._loss()
                if loss is None:
                    break
                if not self._is_kept:
                    raise loss
                _log.debug1("%s: going on over another connection", loss)
                await self._resume()
            self._end(None)
        except QshError as error:
            self._end(error)

    def _loss(self) -> QshError | None:
        """What has interrupted the session; None if it is over."""
        away = self._sent_away
        if away is None:
            if self.connection.is_over and not self.connection.was_lost:
                self._is_kept = False  # somebody has ended it, and meant to
            return self._channel.failure
        if away.reason == LAGGING:
            self._sent_away = None
            return NetworkError("too slow for the session's output")
        if away.reason == TAKEN_OVER:
            raise NetworkError(f"this session was taken over from {log.printable(away.origin)}")
        raise NetworkError("this session went on without us")

    async def _use_channel(self) -> None:
        """Until this channel is over."""
        self._sending = self._sending or spawn(self._send(self._channel), "lasting channel: input")
        try:
            with contextlib.suppress(NetworkError):
                while (request := await self._channel.next_request()) is not None:
                    self._take(request)
            await self._channel.wait_closed()
        finally:
            sending, self._sending = self._sending, None
            await cancel(sending)

    def _take(self, request: IncomingRequest) -> None:
        match request.body:
            case AttachedRequest():
                self._go_on(request.body)
            case ProgressRequest(_, offset):
                self._input.trim(min(offset, self._input_sent))
                self._changed.set_off()
            case SentAwayRequest():
                self._sent_away = request.body
            case _:
                self._requests.put(request)

    def _go_on(self, attached: AttachedRequest) -> None:
        """The server keeps the session, and says from where it goes on."""
        self._is_kept = True
        self._input.trim(min(attached.input_offset, self._input_sent))
        if not self._is_attached:
            for data_type, offset in ((0, attached.output_offset), (1, attached.errors_offset)):
                if self.resumptions:
                    self.dropped += max(0, offset - self._received[data_type])
                self._received[data_type] = self._acknowledged[data_type] = offset
        mode = RESUME if self._place.mode == TAKE_OVER else self._place.mode
        self._place = Place(attached.session.hex(), self._place.client, mode)
        self._is_attached = True
        self._changed.set_off()

    async def _send(self, channel: Channel) -> None:
        with contextlib.suppress(NetworkError):
            while not (self._input_ends and self._input_sent == self._input.end):
                piece = self._input.piece(self._input_sent, PIECE)
                if piece:
                    self._input_sent += len(piece)
                    await channel.write(piece)
                else:
                    await self._changed.wait()
            channel.write_eof()

    def _end(self, error: QshError | None) -> None:
        self._is_over = True
        self._error = error
        self._requests.end()
        self._changed.set_off()

    # ------------------------------------------------------------ resuming

    async def _resume(self) -> None:
        """Over a new connection: attach in the same flight as the login. Raises QshError."""
        while True:
            await self._reconnect(self._begin_again)
            assert self._granted is not None
            try:
                if not await self._granted:
                    raise RequestError("the session is no longer there")
                first = await self._channel.next_request()
            except NetworkError as error:
                _log.debug1("%s: trying again", error)
                continue
            if first is not None:
                self.resumptions += 1
                self._take(first)
                return

    def _begin_again(self, connection: Connection) -> None:
        """Called while the login is under way. What is sent again follows at once."""
        channel = self._channel = connection.open_channel(SessionOpen())
        pty = self._pty()
        if pty is not None:
            channel.set_priority(INTERACTIVE)
            channel.send_request(pty)
        self._granted = self._ask_attach(channel, None)
        self._input_sent = self._input.start
        if self._sending is not None:
            self._sending.cancel()
        self._sending = spawn(self._send(channel), "lasting channel: input")

    def _ask_attach(self, channel: Channel, offset: int | None) -> "asyncio.Future[bool]":
        """With `offset` for both outputs; None where we stopped."""
        place, received = self._place, self._received
        return channel.ask(AttachRequest(
            place.session, place.client, place.mode, self._input.start,
            received[0] if offset is None else offset, received[1] if offset is None else offset,
        ))  # fmt: skip
