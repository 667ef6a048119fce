"""The beginning of an X11 connection, and the exchange of its cookie. Without I/O.

The far side knows only a made-up cookie, so that what leaks there opens nothing: it is replaced by
the display's own on this side, and a connection without it is refused. X Window System Protocol
(X11R7), section 8, "Connection Setup":

    byte "B" or "l" (byte order), unused byte, uint16 major, uint16 minor,
    uint16 n, uint16 d, unused uint16, protocol's name (n), padding, data (d), padding

Padding is up to a multiple of four.
"""

import hmac

from qsh.errors import QshError
from qsh.record import record

HEAD = 12
MAX_TEXT = 1024
"""Bytes of a protocol's name or of its data, which are 18 and 16 in practice."""
_ORDERS = {b"B": "big", b"l": "little"}


class CookieError(QshError):
    """An application that does not know the cookie, or does not speak X11."""


@record
class Cookie:
    """Proves to a display that an application may use it."""

    protocol: str
    """`MIT-MAGIC-COOKIE-1`, as a rule."""
    data: bytes


class CookieSwap:
    """Reads an application's first bytes and puts `real` in the place of `made_up`."""

    def __init__(self, made_up: Cookie, real: Cookie) -> None:
        self._made_up = made_up
        self._real = real
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        """What the display is to get for these bytes: nothing until the setup is whole, then all
        of it and whatever came after. Raises CookieError."""
        self._buffer += data
        buffer = self._buffer
        if buffer and buffer[:1] not in _ORDERS:
            raise CookieError("an application that does not speak X11")
        if len(buffer) < HEAD:
            return b""
        order = _ORDERS[buffer[:1]]
        name_length, data_length = (
            int.from_bytes(buffer[at : at + 2], order)  # type: ignore[arg-type]
            for at in (6, 8)
        )
        if max(name_length, data_length) > MAX_TEXT:
            raise CookieError("X11 authentication that is too long")
        data_at = HEAD + _padded(name_length)
        end = data_at + _padded(data_length)
        if len(buffer) < end:
            return b""
        name, cookie = buffer[HEAD : HEAD + name_length], buffer[data_at : data_at + data_length]
        if name != self._made_up.protocol.encode() or not hmac.compare_digest(
            cookie, self._made_up.data
        ):
            raise CookieError("wrong X11 authentication")
        return setup(buffer[:6], order, self._real) + buffer[end:]


def setup(head: bytes, order: str, cookie: Cookie) -> bytes:
    """A connection setup with this cookie; `head` are its first six bytes."""
    name = cookie.protocol.encode()
    lengths = b"".join(
        number.to_bytes(2, order)  # type: ignore[arg-type]
        for number in (len(name), len(cookie.data), 0)
    )
    return head + lengths + _pad(name) + _pad(cookie.data)


def _padded(length: int) -> int:
    return (length + 3) & ~3


def _pad(data: bytes) -> bytes:
    return data.ljust(_padded(len(data)), b"\0")
