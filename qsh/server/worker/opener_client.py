"""The worker's side of the opener: `Sockets` that the user's own process makes."""

import asyncio
import errno
import os
import socket
from typing import Any

from qsh.errors import DecodeError
from qsh.forward.sockets import NotPermittedError
from qsh.forward.tunnel import Device
from qsh.log import logger
from qsh.server.descriptors import receive_with
from qsh.server.holder.opener_messages import (
    MAX_MESSAGE,
    MAX_PASSED,
    REPLIES,
    ConnectTcp,
    ConnectUdp,
    ConnectUnix,
    Failed,
    Forbidden,
    ListenAgent,
    ListenTcp,
    ListenUdp,
    ListenUnix,
    ListenX11,
    OpenTunnel,
    ResizeTunnel,
    Unlink,
)
from qsh.server.worker.monitor_client import MonitorClient, SessionDeniedError
from qsh.wire.codec import encode

_log = logger("opener")

Answer = tuple[Any, list[int]]
"""A reply and the descriptors that came with it."""


BRING_NOTHING = (Unlink, ResizeTunnel)


class OpenerSockets:
    """Sockets with the user's rights. The opener is started by the first request; what it does
    not permit raises NotPermittedError. Where to listen, with which mask and over what, is its
    own decision."""

    def __init__(self, monitor: MonitorClient) -> None:
        self._monitor = monitor
        self._socket: socket.socket | None = None
        self._starting = asyncio.Lock()
        self._refusal = ""
        self._next = 0
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    async def connect_tcp(self, host: str, port: int) -> socket.socket:
        return _one(await self._ask(ConnectTcp, host, port))

    async def connect_udp(self, host: str, port: int) -> socket.socket:
        return _one(await self._ask(ConnectUdp, host, port))

    async def connect_unix(self, path: str) -> socket.socket:
        return _one(await self._ask(ConnectUnix, path))

    async def listen_tcp(self, host: str, port: int) -> list[socket.socket]:
        return _all(await self._ask(ListenTcp, host, port))

    async def listen_udp(self, host: str, port: int) -> list[socket.socket]:
        return _all(await self._ask(ListenUdp, host, port))

    async def listen_unix(self, path: str, mask: int, unlink: bool) -> socket.socket:
        return _one(await self._ask(ListenUnix, path))

    async def unlink(self, path: str) -> None:
        await self._ask(Unlink, path)

    async def listen_agent(self) -> tuple[socket.socket, str]:
        """A listener for the agent's sake, and its path."""
        answer = await self._ask(ListenAgent)
        return _one(answer), str(answer[0].path)

    async def listen_x11(self) -> tuple[list[socket.socket], int]:
        """Listeners of a display, and its number."""
        answer = await self._ask(ListenX11)
        return _all(answer), int(answer[0].path)

    async def open_tunnel(self, mode: int, unit: int) -> Device:
        """A tunnel device (wire.forward_messages). Raises OSError."""
        reply, [descriptor] = await self._ask(OpenTunnel, mode, unit)
        return Device(descriptor, str(reply.path), mode, self._resize_tunnel)

    async def _resize_tunnel(self, name: str, size: int) -> None:
        await self._ask(ResizeTunnel, name, size)

    # ------------------------------------------------------------ inside

    async def _ask(self, kind: Any, *fields: Any) -> Answer:
        """The answer to a request that makes sockets. Raises OSError, NotPermittedError."""
        sock = await self._opener()
        self._next = ticket = (self._next + 1) % (1 << 32)
        data = encode(kind(ticket, *fields))
        if len(data) > MAX_MESSAGE:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        loop = asyncio.get_running_loop()
        future = self._waiting[ticket] = loop.create_future()
        try:
            await loop.sock_sendall(sock, data)
            reply, descriptors = await future
        finally:
            self._waiting.pop(ticket, None)
        if isinstance(reply, Forbidden):
            raise NotPermittedError(reply.text)
        if isinstance(reply, Failed):
            raise OSError(reply.errno, reply.text)
        if not descriptors and kind not in BRING_NOTHING:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return reply, descriptors

    async def _opener(self) -> socket.socket:
        async with self._starting:
            if self._refusal:
                raise NotPermittedError(self._refusal)
            if self._socket is None:
                try:
                    self._socket = await self._monitor.start_opener()
                except SessionDeniedError as error:
                    self._refusal = str(error)
                    raise NotPermittedError(self._refusal) from None
                loop = asyncio.get_running_loop()
                loop.add_reader(self._socket.fileno(), self._receive, self._socket)
        return self._socket

    def _receive(self, opener: socket.socket) -> None:
        try:
            data, descriptors = receive_with(opener, MAX_MESSAGE, MAX_PASSED)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        try:
            reply = REPLIES.decode(data) if data else None
        except DecodeError:
            reply = None
        if reply is None:
            self._lose(opener)
            return
        future = self._waiting.get(reply.ticket)
        if future is not None and not future.done():
            future.set_result((reply, descriptors))
        else:  # nobody waits any more
            for descriptor in descriptors:
                os.close(descriptor)

    def _lose(self, opener: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(opener.fileno())
        self._refusal = "the opener has ended"
        _log.error("%s", self._refusal)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(OSError(errno.EPIPE, self._refusal))


def _all(answer: Answer) -> list[socket.socket]:
    sockets = [socket.socket(fileno=descriptor) for descriptor in answer[1]]
    for sock in sockets:
        sock.setblocking(False)
    return sockets


def _one(answer: Answer) -> socket.socket:
    return _all(answer)[0]
