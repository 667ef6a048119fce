"""Stream forwards, TCP and Unix sockets: a listener at one end, a connector at the other.

-L: the client listens, the server connects. -R: the other way round. The code is the same; only
the channel's kind tells the direction.
"""

import socket
from collections.abc import Callable

from qsh.errors import ChannelOpenError, NetworkError, OpenFailure
from qsh.forward.listener import Serve
from qsh.forward.relay import relay
from qsh.forward.sockets import NotPermittedError, Sockets, explain
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.wire.forward_messages import (
    DirectStreamlocal,
    DirectTcpip,
    ForwardedStreamlocal,
    ForwardedTcpip,
)

_log = logger("forward")

Target = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""
MakeOpen = Callable[[tuple[str, int]], object]
"""From the originator's address to the body of the channel open."""


def through(connection: Connection, opens: MakeOpen) -> Serve:
    """For a Listener: every connection becomes a channel of this connection."""

    async def serve(sock: socket.socket, originator: tuple[str, int]) -> None:
        try:
            channel = connection.open_channel(opens(originator))
        except NetworkError:
            sock.close()
            return
        await carry(channel, sock)

    return serve


async def carry(channel: Channel, sock: socket.socket, first: bytes = b"") -> None:
    """Carry a connection over a channel that we opened. What the application sends at once goes
    with the open, so it costs no round trip of its own."""
    try:
        await relay(channel, sock, first, is_ours=True)
    except ChannelOpenError as error:
        _log.error("%s: %s", describe(channel.body), error)


async def connect(channel: Channel, sockets: Sockets) -> None:
    """Connect a channel that the peer opened to the target that its open names."""
    match channel.body:
        case DirectTcpip(host, port):
            await connect_to(channel, sockets, (host, port))
        case DirectStreamlocal(path):
            await connect_to(channel, sockets, path)
        case _:
            channel.refuse(OpenFailure.UNKNOWN_CHANNEL_TYPE, "unknown channel type")


async def connect_to(channel: Channel, sockets: Sockets, target: Target) -> None:
    """As `connect`, for a channel from a remote listener: its target is ours to know."""
    try:
        sock = await open_target(sockets, target)
    except OSError as error:
        refuse(channel, error)
        return
    channel.accept()
    await relay(channel, sock)


async def open_target(sockets: Sockets, target: Target) -> socket.socket:
    """A connection to a target. Raises OSError."""
    if isinstance(target, str):
        return await sockets.connect_unix(target)
    return await sockets.connect_tcp(*target)


def refuse(channel: Channel, error: OSError) -> None:
    """Refuse a channel whose socket cannot be had, with the system's words."""
    if isinstance(error, NotPermittedError):
        channel.refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, explain(error))
    else:
        channel.refuse(OpenFailure.CONNECT_FAILED, explain(error))


def describe(body: object) -> str:
    """What a forward's channel is for, in a few words."""
    match body:
        case DirectTcpip(host, port) | ForwardedTcpip(host, port):
            return f"{host} port {port}"
        case DirectStreamlocal(path) | ForwardedStreamlocal(path):
            return path
    return "forward"
