"""X11 at the client: connections of far applications to the display here (RFC 4254 section 6.3).

The far side listens like a display and knows only a made-up cookie (forward.x11_cookie).
"""

import asyncio
import socket
from contextlib import suppress

from qsh.errors import OpenFailure
from qsh.forward.relay import relay
from qsh.forward.sockets import Sockets, explain
from qsh.forward.x11_cookie import Cookie, CookieError, CookieSwap
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.record import record

_log = logger("x11")

FIRST_PORT = 6000
"""TCP port of display 0."""
SOCKETS = "/tmp/.X11-unix/X"  # noqa: S108  (where X servers listen)
MAX_DISPLAY = 65535 - FIRST_PORT
SETUP_TIMEOUT = 30.0
"""Seconds for an application to say who it is."""


@record
class Display:
    """A display as DISPLAY names it (X(7)): `path` of its socket, or a number at a host; host ""
    for a Unix socket of this machine."""

    host: str
    number: int
    screen: int = 0
    path: str = ""


def parse_display(text: str) -> Display:
    """`[host]:number[.screen]`, or a socket's path with the same end. Raises ValueError."""
    host, colon, rest = text.rpartition(":")
    number, dot, screen = rest.partition(".")
    if not colon or not _is_number(number) or (dot and not _is_number(screen)):
        raise ValueError(f"DISPLAY {text!r} is none")
    if int(number) > MAX_DISPLAY:
        raise ValueError(f"DISPLAY {text!r}: there are no more than {MAX_DISPLAY}")
    path = text if host.startswith("/") else ""
    if host in ("unix", "") or path:
        host = ""
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return Display(host, int(number), int(screen or 0), path)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6


@record
class X11Access:
    """What far applications may use: the display, the cookie that they have to know, and the one
    that the display wants. From `expires` (time of the loop) on no new ones; None for ever."""

    display: Display
    made_up: Cookie
    real: Cookie
    expires: float | None = None


async def serve(channel: Channel, sockets: Sockets, access: X11Access) -> None:
    """Connect a channel of the server's to the display."""
    loop = asyncio.get_running_loop()
    if access.expires is not None and loop.time() >= access.expires:
        _log.error("a far application comes after ForwardX11Timeout: refused")
        channel.refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, "ForwardX11Timeout is over")
        return
    channel.accept()
    try:
        async with asyncio.timeout(SETUP_TIMEOUT):
            first = await _exchange(channel, CookieSwap(access.made_up, access.real))
        sock = await _connect(sockets, access.display)
    except (CookieError, TimeoutError) as error:
        _log.error("a far application's X11 connection is refused: %s", error or "it says nothing")
        channel.close()
        return
    except OSError as error:
        _log.error("cannot reach the display: %s", explain(error))
        channel.close()
        return
    with suppress(OSError):  # the relay finds out
        await loop.sock_sendall(sock, first)
    await relay(channel, sock)


async def _exchange(channel: Channel, swap: CookieSwap) -> bytes:
    """The first bytes for the display. Raises CookieError, NetworkError."""
    while data := await channel.read():
        if first := swap.receive(data):
            return first
    raise CookieError("it ends before it has begun")


async def _connect(sockets: Sockets, display: Display) -> socket.socket:
    """Raises OSError."""
    if display.host:
        return await sockets.connect_tcp(display.host, FIRST_PORT + display.number)
    path = display.path or f"{SOCKETS}{display.number}"
    try:
        return await sockets.connect_unix(path)
    except OSError:
        if display.path:
            # As some systems have it: the path of the socket, without a display's number.
            return await sockets.connect_unix(path.rpartition(":")[0])
        return await sockets.connect_unix("\0" + path)  # Linux's abstract name
