"""Copying between a channel and a connected socket, both ways, with half-close.

An end is passed on as an end (EOF ↔ shutdown). A failure is passed on as a failure (abort ↔ RST),
so that neither application takes a truncated stream for a whole one.
"""

import asyncio
import errno
import socket
import struct
from contextlib import suppress

from qsh.errors import ChannelOpenError, DisconnectReason, NetworkError
from qsh.net.channel import Channel
from qsh.net.tasks import cancel, spawn

READ_SIZE = 256 * 1024
"""Bytes of one read."""
LINGER = 5.0
"""Seconds for an application to take the last data when the far one wants no more of its own."""
LAST_WORDS = 0.05
"""Seconds, or else two round trips, for what an application said last to arrive before its RST."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send a RST."""


async def relay(
    channel: Channel, sock: socket.socket, first: bytes = b"", *, is_ours: bool = False
) -> None:
    """Copy until both directions have ended. Owns the socket, which does not block. `first` was
    read from it already. If the channel `is_ours`, its open may still be unanswered, and
    ChannelOpenError is raised if it is refused."""
    sending = spawn(_send(channel, sock, first), "forward: socket to channel")
    try:
        if is_ours:
            await channel.opened()
        is_delivered = await _receive(channel, sock)
        is_whole = await sending
        if is_delivered and not is_whole:
            await _linger(sock)
        channel.close()
    except (NetworkError, ChannelOpenError) as error:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        channel.abort(DisconnectReason.CONNECTION_LOST)
        if isinstance(error, ChannelOpenError):
            raise
    finally:
        await cancel(sending)
        sock.close()


async def _send(channel: Channel, sock: socket.socket, first: bytes) -> bool:
    """What the application says; whether the peer took all of it. The application's failure
    aborts the channel."""
    loop = asyncio.get_running_loop()
    data = first
    try:
        while data or (data := await loop.sock_recv(sock, READ_SIZE)):
            await channel.write(data)
            data = b""
    except OSError:
        # What was said before it is lost with a stream that is reset; TCP delivers it.
        try:
            await asyncio.sleep(max(LAST_WORDS, 2 * channel.connection.stats.smoothed_rtt))
        finally:
            channel.abort(DisconnectReason.CONNECTION_LOST)
        return False
    except NetworkError:  # closed or aborted: whoever reads from it finds out which
        return False
    channel.write_eof()
    return True


async def _receive(channel: Channel, sock: socket.socket) -> bool:
    """What the peer says; whether the application took all of it. Raises NetworkError."""
    loop = asyncio.get_running_loop()
    try:
        while data := await channel.read():
            await loop.sock_sendall(sock, data)
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        return error.errno == errno.ENOTCONN  # it had all and has gone already
    return True


async def _linger(sock: socket.socket) -> None:
    """Drop what the application still says: closing now would take from it what it has not read."""
    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER):
            while await loop.sock_recv(sock, READ_SIZE):
                pass
