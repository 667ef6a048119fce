"""SOCKS servers of forwards: 4, 4a and 5, CONNECT and UDP ASSOCIATE.

-D: applications here, connections made at the other end, where names are resolved. -R without a
target: applications there, whose dialogue comes over a channel, and connections made here.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from qsh.errors import ChannelOpenError, NetworkError, OpenFailure
from qsh.forward.associate import Association
from qsh.forward.permissions import Endpoint, ForwardRules, may_connect
from qsh.forward.relay import relay
from qsh.forward.sockets import Sockets, explain
from qsh.forward.socks_wire import Associate, Connect, Reply, SocksError, SocksServer
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.wire.forward_messages import DirectTcpip

_log = logger("forward")

DIALOGUE_TIMEOUT = 30.0
"""Seconds for an application to say what it wants."""
_READ = 4096

Receive = Callable[[], Awaitable[bytes]]
Send = Callable[[bytes], Awaitable[None]]


async def negotiate(receive: Receive, send: Send) -> tuple[SocksServer, Connect | Associate]:
    """The dialogue up to the request, which is still to be answered. Raises SocksError, when
    that has been told; OSError, NetworkError."""
    server = SocksServer()
    try:
        async with asyncio.timeout(DIALOGUE_TIMEOUT):
            while data := await receive():
                request = server.receive(data)
                if told := server.data_to_send():
                    await send(told)
                if request is not None:
                    return server, request
    except SocksError as error:
        if error.reply:
            await send(error.reply)
        raise
    raise SocksError("the application closed its connection")


class Socks:
    """The SOCKS server of -D; `serve` is for a Listener."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def serve(self, sock: socket.socket, originator: tuple[str, int]) -> None:
        """Speak SOCKS with one application and carry its connection."""
        loop = asyncio.get_running_loop()

        def receive() -> Awaitable[bytes]:
            return loop.sock_recv(sock, _READ)

        def send(data: bytes) -> Awaitable[None]:
            return loop.sock_sendall(sock, data)

        try:
            server, request = await negotiate(receive, send)
            if isinstance(request, Connect):
                await self._connect(sock, server, request, originator)
            else:
                await self._associate(sock, server, request)
        except (OSError, NetworkError, SocksError) as error:
            _log.debug1("socks: %s", error)
        finally:
            sock.close()

    async def _connect(
        self, sock: socket.socket, server: SocksServer, request: Connect,
        originator: tuple[str, int],
    ) -> None:  # fmt: skip
        loop = asyncio.get_running_loop()
        channel = self._connection.open_channel(
            DirectTcpip(request.host, request.port, *originator)
        )
        try:
            await channel.opened()
        except ChannelOpenError as error:
            _log.debug1("socks: %s port %d: %s", request.host, request.port, error)
            await loop.sock_sendall(sock, server.reply(_reply_for(error.reason, str(error))))
            return
        await loop.sock_sendall(sock, server.reply(Reply.SUCCEEDED))
        await relay(channel, sock, server.rest)

    async def _associate(
        self, sock: socket.socket, server: SocksServer, request: Associate
    ) -> None:
        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            await loop.sock_sendall(sock, server.reply(Reply.COMMAND_NOT_SUPPORTED))
            return
        association = Association(self._connection, sock, request)
        await loop.sock_sendall(sock, server.reply(Reply.SUCCEEDED, *association.address))
        await association.run()


async def serve_remote(
    channel: Channel, sockets: Sockets, permitted: tuple[Endpoint, ...] | None
) -> None:
    """Speak SOCKS over a channel of a remote listener, and make the connection here if
    `permitted` (PermitRemoteOpen; None for all) says so."""
    channel.accept()
    try:
        server, request = await negotiate(channel.read, channel.write)
        if not isinstance(request, Connect):
            await _answer(channel, server.reply(Reply.COMMAND_NOT_SUPPORTED))
            return
        if not may_connect((ForwardRules(opens=permitted),), request.host, request.port):
            _log.info("socks: %s port %d is not permitted", request.host, request.port)
            await _answer(channel, server.reply(Reply.NOT_ALLOWED))
            return
        try:
            sock = await sockets.connect_tcp(request.host, request.port)
        except OSError as error:
            text = explain(error)
            _log.debug1("socks: %s port %d: %s", request.host, request.port, text)
            await _answer(channel, server.reply(_reply_for(OpenFailure.CONNECT_FAILED, text)))
            return
        await _carry(channel, sock, server)
    except (NetworkError, SocksError, TimeoutError) as error:
        _log.debug1("socks: %s", error)
        channel.close()


async def _answer(channel: Channel, reply: bytes) -> None:
    await channel.write(reply)
    channel.close()


async def _carry(channel: Channel, sock: socket.socket, server: SocksServer) -> None:
    try:
        await channel.write(server.reply(Reply.SUCCEEDED))
        with suppress(OSError):  # the relay finds out
            await asyncio.get_running_loop().sock_sendall(sock, server.rest)
    except NetworkError:
        sock.close()
        raise
    await relay(channel, sock)


def _reply_for(reason: int, text: str) -> Reply:
    """RFC 1928 section 6, from why the connection was refused."""
    if reason == OpenFailure.ADMINISTRATIVELY_PROHIBITED:
        return Reply.NOT_ALLOWED
    text = text.lower()
    for words, reply in (
        ("refused", Reply.REFUSED),
        ("no route", Reply.HOST_UNREACHABLE),
        ("unreachable", Reply.NETWORK_UNREACHABLE),
        ("timed out", Reply.TTL_EXPIRED),
    ):
        if words in text:
            return reply
    return Reply.HOST_UNREACHABLE
