"""Messages between the clients that share one connection and its master: OpenSSH's PROTOCOL.mux.

    uint32    length of what follows
    uint32    message number
    ...       fields, RFC 4251 section 5; flags are uint32

Descriptors follow the message they belong to, each with a byte of its own. Pure; kept small, since
every command over a master loads it.
"""

from qsh.errors import DecodeError

VERSION = 4
MAX_MESSAGE = 256 * 1024
"""Bytes of one message, as ssh(1) has it: a command with its environment."""
NO_ESCAPE = 0xFFFFFFFF
UNIX_SOCKET = 0xFFFFFFFE
"""In the place of a port: the host is a socket's path."""

# PROTOCOL.mux section 11.
HELLO = 0x00000001
NEW_SESSION = 0x10000002
ALIVE_CHECK = 0x10000004
TERMINATE = 0x10000005
OPEN_FORWARD = 0x10000006
CLOSE_FORWARD = 0x10000007
NEW_STDIO = 0x10000008
STOP_LISTENING = 0x10000009
PROXY = 0x1000000F
OK = 0x80000001
PERMISSION_DENIED = 0x80000002
FAILURE = 0x80000003
EXIT_MESSAGE = 0x80000004
ALIVE = 0x80000005
SESSION_OPENED = 0x80000006
REMOTE_PORT = 0x80000007
TTY_FAILED = 0x80000008
PROXY_READY = 0x8000000F

# Ours, announced in the greeting; ssh's masters and clients do not know them.
EXTENSION = "info@qsh"
INFO = 0x2051_0001
"""string kind: `connection` or `channels`"""
INFO_TEXT = 0xA051_0001
"""uint32 request, string text"""

LOCAL, REMOTE, DYNAMIC = 1, 2, 3
"""Kinds of forwards."""

DESCRIPTORS = {NEW_SESSION: 3, NEW_STDIO: 2}
"""How many descriptors follow."""

Field = int | str | bytes


def encode(number: int, *fields: Field) -> bytes:
    """A message: an int is a uint32, the rest strings."""
    parts = [number.to_bytes(4, "big")]
    for field in fields:
        if isinstance(field, int):
            parts.append(field.to_bytes(4, "big"))
        else:
            data = field.encode("utf-8", "surrogateescape") if isinstance(field, str) else field
            parts += (len(data).to_bytes(4, "big"), data)
    body = b"".join(parts)
    return len(body).to_bytes(4, "big") + body


class Fields:
    """Reads the fields of a message in their order. Whatever is missing raises DecodeError."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._body)

    def number(self) -> int:
        """A uint32."""
        return int.from_bytes(self._take(4), "big")

    def string(self) -> bytes:
        """A string."""
        return self._take(self.number())

    def text(self) -> str:
        """A string as text; bytes that are no UTF-8 survive as in file names."""
        return self.string().decode("utf-8", "surrogateescape")

    def _take(self, count: int) -> bytes:
        data = self._body[self._at : self._at + count]
        if len(data) != count:
            raise DecodeError("message of a shared connection is cut short")
        self._at += count
        return data


class MessageReader:
    """Messages out of a stream of bytes, with the descriptors that belong to them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._descriptors: list[int] = []

    def receive(self, data: bytes, descriptors: list[int]) -> None:
        """Take in what was read."""
        self._buffer += data
        self._descriptors += descriptors

    def next(self) -> tuple[int, Fields, list[int]] | None:
        """Number, fields and descriptors of the next message that is complete. Raises
        DecodeError."""
        buffer = self._buffer
        if len(buffer) < 8:
            return None
        end = 4 + int.from_bytes(buffer[:4], "big")
        if not 8 <= end <= MAX_MESSAGE:
            raise DecodeError(f"message of {end - 4} bytes on a shared connection")
        number = int.from_bytes(buffer[4:8], "big")
        wanted = DESCRIPTORS.get(number, 0)
        if len(buffer) < end + wanted:
            return None
        if len(self._descriptors) < wanted:
            raise DecodeError("a descriptor is missing on a shared connection")
        body = bytes(buffer[8:end])
        del buffer[: end + wanted]
        taken, self._descriptors = self._descriptors[:wanted], self._descriptors[wanted:]
        return number, Fields(body), taken

    def rest(self) -> bytes:
        """All that was read, where what follows are no messages of this kind."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def leftovers(self) -> list[int]:
        """Descriptors that belong to no message: to be closed."""
        left, self._descriptors = self._descriptors, []
        return left
