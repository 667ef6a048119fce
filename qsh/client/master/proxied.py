"""A client of a master that speaks SSH's connection protocol itself: PROTOCOL.mux, proxy mode.

Each packet is `uint32 length, byte 0, payload` (RFC 4253 section 6 without padding or MAC), and the
payload a message of RFC 4254 with channel numbers, which here are streams instead. `ssh -O proxy`
is such a client. Listeners on the server are none of its business.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from qsh import log
from qsh.errors import ChannelOpenError, DecodeError, NetworkError
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.tasks import cancel, spawn
from qsh.wire.channel_messages import decode_open, decode_request, encode_inner
from qsh.wire.codec import Reader, Writer

GLOBAL_REQUEST, REQUEST_FAILURE = 80, 82
OPEN, CONFIRMATION, OPEN_FAILURE, ADJUST, DATA, EXTENDED_DATA, EOF, CLOSE = range(90, 98)
REQUEST, SUCCESS, FAILURE = 98, 99, 100
KINDS = frozenset({"session", "direct-tcpip", "direct-streamlocal@openssh.com"})
"""What such a client may open."""
WINDOW = 2 * 1024 * 1024
MAX_PACKET = 32 * 1024
MAX_LENGTH = 256 * 1024
MAX_CHANNELS = 64

_log = log.logger("mux")
Write = Callable[[bytes], Awaitable[None]]


class ProxiedClient:
    """Its channels on our connection. `write` sends to it, one whole packet at a time."""

    def __init__(self, connection: Connection, write: Write) -> None:
        self._connection = connection
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
        for channel in list(self._channels.values()):
            await channel.end()

    async def send(self, payload: bytes) -> None:
        """One message to it."""
        await self._write((1 + len(payload)).to_bytes(4, "big") + b"\0" + payload)

    async def _take(self, payload: bytes) -> None:
        reader = Reader(payload)
        number = reader.byte()
        if number == GLOBAL_REQUEST:
            _name, wants_reply = reader.text(), reader.boolean()
            if wants_reply:
                await self.send(bytes((REQUEST_FAILURE,)))
        elif number == OPEN:
            await self._open(reader)
        elif ADJUST <= number <= FAILURE:
            channel = self._channels.get(reader.uint32())
            if channel is not None:  # else it has just ended here
                await channel.take(number, reader)
        else:
            raise DecodeError(f"message {number} from a proxied client")

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
        proxied = _Proxied(self, channel, number, theirs, window, min(packet, MAX_PACKET))
        self._channels[number] = proxied
        proxied.start()

    def forget(self, number: int) -> None:
        """A channel is over."""
        self._channels.pop(number, None)


class _Proxied:
    """One channel: theirs by number, ours as a stream."""

    def __init__(self, client: ProxiedClient, channel: Channel, number: int, theirs: int,
                 window: int, packet: int) -> None:
        self._client = client
        self._channel = channel
        self._number = number
        self._theirs = theirs
        self._window = window
        self._packet = packet
        self._room = asyncio.Event()
        self._input: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._waiting = 0
        self._course: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._course = spawn(self._run(), "proxied channel")

    async def end(self) -> None:
        if self._course is not None:
            await cancel(self._course)

    async def take(self, number: int, reader: Reader) -> None:
        """A message for this channel. Raises DecodeError, OSError."""
        if number == ADJUST:
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

    async def _run(self) -> None:
        channel = self._channel
        try:
            try:
                await channel.opened()
            except ChannelOpenError as error:
                failure = Writer().uint32(error.reason).text(str(error)).text("").finish()
                await self._say(OPEN_FAILURE, failure)
                return
            numbers = Writer().uint32(self._number).uint32(WINDOW).uint32(MAX_PACKET).finish()
            await self._say(CONFIRMATION, numbers)
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
