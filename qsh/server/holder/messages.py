"""Messages between a worker and the holder of one session, over a stream socket.

    uint32 length | byte number | fields (RFC 4251 types)

The worker begins with Start, the holder answers with Attached. Streams have the numbers of their
descriptors: 0 into the child, 1 and 2 out of it. Each byte of a stream has an absolute offset,
counted from the session's start, so that a later worker can attach where an earlier one was lost;
input is counted for each client. A sender may be `WINDOW` bytes ahead of the offset that the
receiver has declared consumed. Data only; may not do I/O.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any

from qsh.errors import DecodeError
from qsh.wire.codec import Byte, Registry, UInt32, UInt64, encode, message

VERSION = 2
"""Of this protocol: workers and holders of different releases may meet."""
INPUT, OUTPUT, ERRORS = 0, 1, 2
WINDOW = 1024 * 1024
"""Bytes in flight per stream: some 64 KiB reads ahead of the network, no more."""
MAX_PIECE = 256 * 1024
"""Bytes of data in one message."""
_DATA = 1
_DATA_HEAD = Struct(">IBBQ")
"""Length, number, stream, offset."""
_LENGTH = Struct(">I")
MAX_FRAME = MAX_PIECE + _DATA_HEAD.size
ANY_OFFSET = (1 << 64) - 1
"""In Start: whatever there is."""


class Mode(IntEnum):
    """How a client attaches to a session."""

    RESUME = 0
    """It was here before, as far as it knows still is, and goes on."""
    TAKE_OVER = 1
    """All others have to go."""
    SHARE = 2
    """Beside the others."""
    WATCH = 3
    """As well, without a say."""


class Reason(IntEnum):
    """Why a client is attached no more."""

    TAKEN_OVER = 0
    RESUMED = 1
    """By itself, over another connection."""
    LAGGING = 2
    """What it had not read could be kept no longer: it may attach anew."""
    GONE = 3
    """It may not resume: it was sent away before, or was never here."""


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream; `offset` is that of the first one."""

    stream: int
    offset: int
    data: bytes


@message(2)
@dataclass(frozen=True, slots=True)
class Eof:
    """The stream ends at `offset`."""

    stream: Byte
    offset: UInt64


@message(3)
@dataclass(frozen=True, slots=True)
class Consumed:
    """Everything before `offset` is done with."""

    stream: Byte
    offset: UInt64


@message(4)
@dataclass(frozen=True, slots=True)
class Attached:
    """The holder's first message: the child runs, and these are the offsets to go on from. Those
    of output are later than asked for where something is kept no longer; `input_offset` is what
    has come from this client."""

    version: UInt32
    input_offset: UInt64
    output_offset: UInt64
    errors_offset: UInt64


@message(5)
@dataclass(frozen=True, slots=True)
class Exited:
    """The child has ended by itself, and its streams are at their ends; the last message."""

    status: UInt32


@message(6)
@dataclass(frozen=True, slots=True)
class Killed:
    """As Exited, by a signal; `signal` is a name without SIG."""

    signal: str
    core_dumped: bool


@message(7)
@dataclass(frozen=True, slots=True)
class Resize:
    """The terminal's new size (RFC 4254 section 6.7)."""

    columns: UInt32
    rows: UInt32
    width_px: UInt32
    height_px: UInt32


@message(8)
@dataclass(frozen=True, slots=True)
class Signal:
    """A signal for the child's process group; a name without SIG."""

    signal: str


@message(9)
@dataclass(frozen=True, slots=True)
class Break:
    """A break on the terminal (RFC 4335)."""

    milliseconds: UInt32


@message(10)
@dataclass(frozen=True, slots=True)
class Start:
    """The worker's first message. `client` is what a client calls itself, `origin` where it is;
    the offsets are those of the first bytes that it has not, or ANY_OFFSET. `acknowledges`: what
    is consumed may be needed again until it is Acknowledged."""

    mode: Byte
    client: bytes
    origin: str
    acknowledges: bool
    output_offset: UInt64
    errors_offset: UInt64


@message(11)
@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The client has everything before `offset` for good."""

    stream: Byte
    offset: UInt64


@message(12)
@dataclass(frozen=True, slots=True)
class Goodbye:
    """The client ends the session, or has heard how it ended. Without this it may come back."""


@message(13)
@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing is heard of the client, or again: then its session does not wait for it."""

    is_silent: bool


@message(14)
@dataclass(frozen=True, slots=True)
class SentAway:
    """The worker's client is attached no more. `reason` is a Reason; `origin`, who took over."""

    reason: Byte
    origin: str


TO_WORKER = Registry(Eof, Consumed, Attached, Exited, Killed, SentAway)
TO_HOLDER = Registry(Eof, Consumed, Resize, Signal, Break, Start, Acknowledged, Goodbye, Silent)
"""What may come beside Data."""


class Decoder:
    """Bytes in, messages out. `registry` is TO_WORKER or TO_HOLDER. Data is given out as far as
    it is there, in as many pieces as it comes in."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._rest = b""
        self._stream = self._offset = self._left = 0

    @property
    def wanted(self) -> int:
        """How many bytes to read at once: then data comes alone, and is copied no more."""
        if self._left:
            return self._left
        missing = _DATA_HEAD.size - len(self._rest)
        if missing > 0:
            return missing
        return _LENGTH.size + int(_LENGTH.unpack_from(self._rest)[0]) - len(self._rest)

    @property
    def data_to_come(self) -> tuple[int, int, int]:
        """Stream, offset and count of the data that is to come next; the count is 0 between
        messages."""
        return self._stream, self._offset, self._left

    def skip(self, count: int) -> None:
        """So much of that data went another way."""
        self._left -= count
        self._offset += count

    def receive(self, data: bytes) -> Iterator[Any]:
        """What is there of these bytes. Raises DecodeError."""
        if self._left:
            piece = data[: self._left]
            yield self._data(piece)
            data = data[len(piece) :]
        buffer = self._rest + data if self._rest else data
        at = 0
        while len(buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if not 0 < length <= MAX_FRAME:
                raise DecodeError(f"a message of {length} bytes")
            end = at + _LENGTH.size + length
            if len(buffer) == at + _LENGTH.size:
                break
            if buffer[at + _LENGTH.size] != _DATA:
                if end > len(buffer):
                    break
                yield self._registry.decode(buffer[at + _LENGTH.size : end])
            else:
                begin = at + _DATA_HEAD.size
                if begin > len(buffer):
                    break
                self._begin_data(buffer, at, length)
                if piece := buffer[begin:end]:
                    yield self._data(piece)
            at = end
        self._rest = buffer[at:]

    def _begin_data(self, buffer: bytes, at: int, length: int) -> None:
        self._left = length + _LENGTH.size - _DATA_HEAD.size
        if self._left <= 0:
            raise DecodeError("data without bytes")
        _, _, self._stream, self._offset = _DATA_HEAD.unpack_from(buffer, at)

    def _data(self, piece: bytes) -> Data:
        offset = self._offset
        self._left -= len(piece)
        self._offset += len(piece)
        return Data(self._stream, offset, piece)


def frame(value: Any) -> bytes:
    """A message with its length; Data goes by `data_head`, without a copy."""
    payload = encode(value)
    return _LENGTH.pack(len(payload)) + payload


def data_head(stream: int, offset: int, count: int) -> bytes:
    """The bytes before `count` bytes of data."""
    return _DATA_HEAD.pack(_DATA_HEAD.size - _LENGTH.size + count, _DATA, stream, offset)
