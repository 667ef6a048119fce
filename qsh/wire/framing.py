"""Length-framed messages out of a growing stream: uint32 length, then that many bytes.

Channel data is handed out as it arrives instead of being gathered into whole messages, so that a
64 KiB message costs neither a copy nor the wait for its last packet. May not interpret messages
beyond the head of a data message.
"""

from collections.abc import Iterator

from qsh.errors import DecodeError, RemoteProtocolError
from qsh.record import record

CHANNEL_DATA = 94
CHANNEL_EXTENDED_DATA = 95

MAX_MESSAGE = 256 * 1024
"""Bytes of the longest message that is not data: OpenSSH's bound for a packet."""
MAX_DATA_MESSAGE = 1024 * 1024
"""Bytes of data in one message. Data is never gathered, so this bounds no memory."""

_DATA_HEAD = {CHANNEL_DATA: 5, CHANNEL_EXTENDED_DATA: 9}
"""Bytes of a data message before its data: number, [data type], length."""


@record
class DataChunk:
    """A piece of a channel's data. `data_type` 0 is ordinary data, else RFC 4254 section 5.2."""

    data_type: int
    data: bytes


class FrameReader:
    """Bytes in, payloads and data chunks out.

    `streams_data` is for channels; a control stream gathers every message whole. Data that
    arrives in large pieces is sliced out of them once and never gathered; what is gathered is
    looked at again only when it is long enough to go on, so that a peer which sends single bytes
    costs no more than one which does not.
    """

    def __init__(self, *, streams_data: bool, max_message: int = MAX_MESSAGE) -> None:
        self.max_message = max_message
        """Bytes; may be raised at any time."""
        self._streams_data = streams_data
        self._gathered = bytearray()
        self._wanted = 0
        self._data_left = 0
        self._data_type = 0

    @property
    def is_between_messages(self) -> bool:
        """Whether the stream may end here."""
        return not self._gathered and not self._data_left

    def receive(self, data: bytes) -> Iterator[bytes | DataChunk]:
        """What is complete after these bytes: payloads, and data as far as it is there.

        Raises RemoteProtocolError for a message that is too long, or whose lengths disagree.
        """
        if self._gathered:
            self._gathered += data
            if len(self._gathered) < self._wanted:
                return
            data = bytes(self._gathered)
            self._gathered.clear()
        at = 0
        while at < len(data):
            if self._data_left:
                taken = data[at : at + self._data_left]
                self._data_left -= len(taken)
                at += len(taken)
                yield DataChunk(self._data_type, taken)
                continue
            self._wanted = self._next_length(data, at)
            if len(data) - at < self._wanted:
                self._gathered += data[at:]
                return
            if not self._data_left:
                yield data[at + 4 : at + self._wanted]
            at += self._wanted

    def _next_length(self, data: bytes, at: int) -> int:
        """Bytes that must be there before anything can be done: a whole message, or the head of
        a data message, after which `_data_left` is set."""
        there = len(data) - at
        if there < 5:
            if there == 4 and data[at : at + 4] == b"\0\0\0\0":
                raise DecodeError("empty message")  # it must not wait for a fifth byte
            return 5
        length, number = int.from_bytes(data[at : at + 4], "big"), data[at + 4]
        if length == 0:
            raise DecodeError("empty message")
        if self._streams_data and number in _DATA_HEAD:
            return self._next_head(data, at, length, _DATA_HEAD[number])
        if length > self.max_message:
            raise RemoteProtocolError(f"message of {length} bytes is too long")
        return 4 + length

    def _next_head(self, data: bytes, at: int, length: int, head: int) -> int:
        if length > MAX_DATA_MESSAGE + head:
            raise RemoteProtocolError(f"data message of {length} bytes is too long")
        if length <= head:
            raise DecodeError("a data message without data")
        if len(data) - at >= 4 + head:
            if int.from_bytes(data[at + head : at + head + 4], "big") != length - head:
                raise DecodeError("lengths of a data message disagree")
            self._data_type = int.from_bytes(data[at + 5 : at + 9], "big") if head == 9 else 0
            if head == 9 and self._data_type == 0:
                raise DecodeError("extended data of type 0")
            self._data_left = length - head
        return 4 + head


def frame(payload: bytes) -> bytes:
    """A payload with its length before it."""
    return len(payload).to_bytes(4, "big") + payload


def data_head(count: int, data_type: int) -> bytes:
    """The bytes before `count` bytes of data: frame length, number, [type], length."""
    if data_type == 0:
        return (5 + count).to_bytes(4, "big") + bytes((CHANNEL_DATA,)) + count.to_bytes(4, "big")
    return (
        (9 + count).to_bytes(4, "big")
        + bytes((CHANNEL_EXTENDED_DATA,))
        + data_type.to_bytes(4, "big")
        + count.to_bytes(4, "big")
    )
