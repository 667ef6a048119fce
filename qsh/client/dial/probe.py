"""Is there a server of ssh's where no qshd answers? A connection by TCP tells, and how far it is.

Begun only when the answer of a near qshd is overdue, so that sshd's log is not filled by every
visit to a host that has both.
"""

import asyncio
import contextlib
import socket

from qsh.errors import NetworkError
from qsh.net.dial import literal, resolve_name
from qsh.net.tasks import in_thread

HEAD_START = 0.2
"""Seconds for qshd alone."""
MARGIN, KNOWN_MARGIN = 0.28, 2.0
"""Seconds beyond a round trip after which qshd counts as silent; where it has answered before."""


async def wait_for_sshd(
    host: str, port: int, family: int, bind_address: str | None, margin: float = MARGIN
) -> str:
    """Returns when qshd has had its time and something listens on the TCP port; gives our own
    address on the way there. Raises NetworkError if nothing listens."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.sleep(HEAD_START)
    endpoints = literal(host, port, family) or await resolve_name(host, port, family)
    for endpoint in endpoints:
        with contextlib.suppress(OSError):
            began = loop.time()
            source = await _connect(endpoint.family, endpoint.sockaddr, bind_address)
            round_trip = loop.time() - began
            await asyncio.sleep(max(0.0, start + round_trip + margin - loop.time()))
            return source
    raise NetworkError("no sshd listens there either")


async def _connect(family: int, address: tuple[object, ...], bind_address: str | None) -> str:
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        if bind_address is not None:
            sock.bind((bind_address, 0))
        await asyncio.get_running_loop().sock_connect(sock, address)
        return str(sock.getsockname()[0])


async def source_address(host: str, port: int, family: int) -> str:
    """Our address on the way to the host; empty if there is none. Sends nothing to it."""
    endpoints = literal(host, port, family) or await resolve_name(host, port, family)
    return await in_thread(_source, endpoints[0].family, endpoints[0].sockaddr)


def _source(family: int, address: tuple[object, ...]) -> str:
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        return str(sock.getsockname()[0])
    return ""
