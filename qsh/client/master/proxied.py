"""A client of a master that speaks SSH's connection protocol itself: PROTOCOL.mux, proxy mode.

Each packet is `uint32 length, byte n, payload, n bytes of padding` (RFC 4253 section 6 without a
MAC), and the payload a message of RFC 4254 with channel numbers, which here are streams instead.
`ssh -O proxy` is such a client. Its listeners on the server are its own (proxied_listeners.py).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.master.proxied_listeners import ProxiedListeners
from qsh.errors import ChannelOpenError, DecodeError, NetworkError, OpenFailure
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.tasks import cancel, spawn
from qsh.wire.channel_messages import decode_open, decode_request, encode_inner
from qsh.wire.codec import Reader, Writer

if TYPE_CHECKING:
    from qsh.client.forwards.forwards import Forwards

GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
OPEN, CONFIRMATION, OPEN_FAILURE, ADJUST, DATA, EXTENDED_DATA, EOF, CLOSE = range(90, 98)
REQUEST, SUCCESS, FAILURE = 98, 99, 100
KINDS = frozenset({"session", "direct-tcpip", "direct-streamlocal@openssh.com"})
"""What such a client may open."""
WINDOW = 2 * 1024 * 1024
MAX_PACKET = 32 * 1024
MAX_LENGTH = 256 * 1024
LEAST_LENGTH = 5
"""Bytes of a packet after its length: ssh(1) takes no shorter one, and so needs padding in answers
to global requests."""
MAX_CHANNELS = 64
MAX_ASKED = 256
"""Global requests of a client that wait for the server."""

_log = log.logger("mux")
Write = Callable[[bytes], Awaitable[None]]


class ProxiedClient:
    """Its channels on our connection. `write` sends to it, one whole packet at a time; `forwards`
    are those of the connection."""

    def __init__(self, connection: Connection, write: Write,
                 forwards: "Callable[[], Awaitable[Forwards]]") -> None:
        self._connection = connection
        self._listeners = ProxiedListeners(forwards, self._offer)
        self._asked: set[asyncio.Task[None]] = set()
        self._asking = asyncio.Lock()
        self._is_over = False
        self._write = write
        self._buffer = bytearray()
        self._channels: dict[int, _Proxied] = {}
        self._numbers = iter(range(2**32))

    async def receive(self, data: bytes) -> None:
        """What it sent. Raises DecodeError, OSError."""
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if not 2 <= length <= MAX_LENGTH:
                raise DecodeError(f"packet of {length} bytes from a proxied client")
            if len(self._buffer) < 4 + length:
                return
            packet = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            await self._take(packet[1 : length - packet[0]])

    async def close(self) -> None:
        """It has hung up."""
        self._is_over = True
        await cancel(*self._asked)
        await self._listeners.close()
        for channel in list(self._channels.values()):
            await channel.end()

    async def send(self, payload: bytes) -> None:
        """One message to it."""
        padding = max(0, LEAST_LENGTH - 1 - len(payload))
        length = 1 + len(payload) + padding
        await self._write(length.to_bytes(4, "big") + bytes((padding,)) + payload + bytes(padding))

    async def _take(self, payload: bytes) -> None:
        reader = Reader(payload)
        number = reader.byte()
        if number == GLOBAL_REQUEST:
            self._ask(reader)
        elif number == OPEN:
            await self._open(reader)
        elif CONFIRMATION <= number <= FAILURE:
            channel = self._channels.get(reader.uint32())
            if channel is not None:  # else it has just ended here
                await channel.take(number, reader)
        else:
            raise DecodeError(f"message {number} from a proxied client")

    def _ask(self, reader: Reader) -> None:
        if len(self._asked) == MAX_ASKED:
            raise DecodeError("too many requests of a proxied client")
        request = self._answer(reader.text(), reader.boolean(), reader.rest())
        task = spawn(request, "request of a proxied client")
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _answer(self, name: str, wants_reply: bool, data: bytes) -> None:
        """One after the other: answers go by their order (RFC 4254 section 4)."""
        with contextlib.suppress(OSError):
            async with self._asking:
                try:
                    answer = await self._listeners.answer(name, data)
                except DecodeError as error:
                    _log.debug1("a proxied client's %s: %s", name, error)
                    answer = None
                if wants_reply:
                    number = REQUEST_FAILURE if answer is None else REQUEST_SUCCESS
                    await self.send(bytes((number,)) + (answer or b""))

    async def _offer(self, channel: Channel) -> None:
        """A connection to one of its listeners."""
        if self._is_over or len(self._channels) == MAX_CHANNELS:
            channel.refuse(OpenFailure.RESOURCE_SHORTAGE, "nobody takes it")
            return
        number = next(self._numbers)
        proxied = _Proxied(self, channel, number)
        self._channels[number] = proxied
        proxied.offer()

    async def _open(self, reader: Reader) -> None:
        kind, theirs, window, packet = (
            reader.text(), reader.uint32(), reader.uint32(), reader.uint32()
        )  # fmt: skip
        if kind not in KINDS or len(self._channels) == MAX_CHANNELS or not packet:
            text = Writer().uint32(theirs).uint32(1).text("not in proxy mode").text("").finish()
            await self.send(bytes((OPEN_FAILURE,)) + text)
            return
        channel = self._connection.open_channel(decode_open(kind, reader.rest()))
        number = next(self._numbers)
        proxied = _Proxied(self, channel, number)
        proxied.meet(theirs, window, packet)
        self._channels[number] = proxied
        proxied.start()

    def forget(self, number: int) -> None:
        """A channel is over."""
        self._channels.pop(number, None)


class _Proxied:
    """One channel: theirs by number, ours as a stream."""

    def __init__(self, client: ProxiedClient, channel: Channel, number: int) -> None:
        self._client = client
        self._channel = channel
        self._number = number
        self._theirs = 0
        self._window = 0
        self._packet = MAX_PACKET
        self._is_met: asyncio.Future[bool] | None = None
        self._room = asyncio.Event()
        self._input: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._waiting = 0
        self._course: asyncio.Task[None] | None = None

    def meet(self, theirs: int, window: int, packet: int) -> None:
        """Its side's number, window and largest packet."""
        self._theirs, self._window, self._packet = theirs, window, min(packet, MAX_PACKET)

    def start(self) -> None:
        """A channel that the client opened."""
        self._course = spawn(self._run(), "proxied channel")

    def offer(self) -> None:
        """One that the server opened."""
        self._is_met = asyncio.get_running_loop().create_future()
        self._course = spawn(self._run_offered(self._is_met), "channel for a proxied client")

    async def end(self) -> None:
        if self._course is not None:
            await cancel(self._course)

    async def take(self, number: int, reader: Reader) -> None:
        """A message for this channel. Raises DecodeError, OSError."""
        if number in (CONFIRMATION, OPEN_FAILURE):
            self._take_answer(number, reader)
        elif number == ADJUST:
            self._window += reader.uint32()
            self._room.set()
        elif number == REQUEST:
            await self._request(reader)
        elif number in (DATA, EXTENDED_DATA):
            kind = reader.uint32() if number == EXTENDED_DATA else 0
            data = reader.string()
            self._waiting += len(data)
            if kind > 1 or self._waiting > WINDOW:
                raise DecodeError("a proxied client sends more than it may")
            self._input.put_nowait((kind, data))
        elif number in (EOF, CLOSE):
            self._input.put_nowait((0, b""))
            if number == CLOSE:
                self._channel.close()

    def _take_answer(self, number: int, reader: Reader) -> None:
        if self._is_met is None or self._is_met.done():
            raise DecodeError("an answer of a proxied client that nobody waits for")
        if number == CONFIRMATION:
            self.meet(reader.uint32(), reader.uint32(), reader.uint32())
            if not self._packet:
                raise DecodeError("a proxied client takes no packets")
        self._is_met.set_result(number == CONFIRMATION)

    async def _request(self, reader: Reader) -> None:
        name, wants_reply = reader.text(), reader.boolean()
        body = decode_request(name, reader.rest())
        if not wants_reply:
            self._channel.send_request(body)
            return
        answer = self._channel.ask(body)
        spawn(self._pass_answer(answer), "answer to a proxied client")

    async def _pass_answer(self, answer: "asyncio.Future[bool]") -> None:
        with contextlib.suppress(NetworkError, OSError):
            await self._say(SUCCESS if await answer else FAILURE)

    async def _say(self, number: int, rest: bytes = b"") -> None:
        await self._client.send(bytes((number,)) + self._theirs.to_bytes(4, "big") + rest)

    async def _run_offered(self, is_met: "asyncio.Future[bool]") -> None:
        channel, is_taken = self._channel, False
        head = Writer().text(channel.kind).uint32(self._number).uint32(WINDOW).uint32(MAX_PACKET)
        try:
            await self._client.send(bytes((OPEN,)) + head.finish() + encode_inner(channel.body))
            is_taken = await is_met
        except OSError as error:
            _log.debug1("a channel for a proxied client: %s", error)
        finally:
            if not is_taken:
                channel.refuse(OpenFailure.CONNECT_FAILED, "nobody takes it")
                self._client.forget(self._number)
        if is_taken:
            channel.accept()
            await self._carry()

    async def _run(self) -> None:
        is_open = False
        try:
            await self._channel.opened()
            numbers = Writer().uint32(self._number).uint32(WINDOW).uint32(MAX_PACKET).finish()
            await self._say(CONFIRMATION, numbers)
            is_open = True
        except (ChannelOpenError, NetworkError, OSError) as error:
            reason = getattr(error, "reason", OpenFailure.CONNECT_FAILED)
            failure = Writer().uint32(reason).text(str(error)).text("").finish()
            with contextlib.suppress(OSError):
                await self._say(OPEN_FAILURE, failure)
        finally:
            if not is_open:
                self._channel.close()
                self._client.forget(self._number)
        if is_open:
            await self._carry()

    async def _carry(self) -> None:
        channel = self._channel
        try:
            feeding = spawn(self._feed(), "input of a proxied channel")
            try:
                await asyncio.gather(self._pass_requests(), self._pass_output())
            finally:
                await cancel(feeding)
            await self._say(CLOSE)
        except (NetworkError, OSError) as error:
            _log.debug1("a proxied channel: %s", error)
            with contextlib.suppress(OSError):
                await self._say(CLOSE)
        finally:
            channel.close()
            self._client.forget(self._number)

    async def _feed(self) -> None:
        with contextlib.suppress(NetworkError):
            while True:
                kind, data = await self._input.get()
                if not data:
                    self._channel.write_eof()
                    return
                await self._channel.write(data, kind)
                self._waiting -= len(data)
                await self._say(ADJUST, len(data).to_bytes(4, "big"))

    async def _pass_requests(self) -> None:
        while (request := await self._channel.next_request()) is not None:
            name = getattr(request.body, "name", "")
            head = Writer().text(name).boolean(False).finish()
            await self._say(REQUEST, head + encode_inner(request.body))
            self._channel.answer(request, ok=False)

    async def _pass_output(self) -> None:
        await asyncio.gather(self._pass_data(0), self._pass_data(1))
        await self._say(EOF)

    async def _pass_data(self, kind: int) -> None:
        while data := await self._channel.read(kind, self._packet):
            while data:
                while not self._window:
                    self._room.clear()
                    await self._room.wait()
                piece, data = data[: self._window], data[self._window :]
                self._window -= len(piece)
                head = Writer().uint32(kind).finish() if kind else b""
                text = Writer().string(piece).finish()
                await self._say(EXTENDED_DATA if kind else DATA, head + text)
