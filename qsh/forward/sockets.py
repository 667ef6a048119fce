"""The sockets of forwards: who makes them decides with whose rights.

`Sockets` is the port. `OwnSockets` makes them in this process: the client's, and a server's own
where it is the user already. A server that serves many users asks the user's opener instead
(qsh.server). May not know channels.
"""

import asyncio
import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from qsh.net import offload

BACKLOG = 128


class NotPermittedError(OSError):
    """The rules do not permit this socket."""

    def __init__(self, text: str) -> None:
        super().__init__(0, text)


class Sockets(Protocol):
    """Makes non-blocking sockets. Everything raises OSError, also for names without an address."""

    async def connect_tcp(self, host: str, port: int) -> socket.socket:
        """A connection to the first address of `host` that takes one."""

    async def connect_unix(self, path: str) -> socket.socket:
        """A connection to a Unix stream socket."""

    async def connect_udp(self, host: str, port: int) -> socket.socket:
        """A UDP socket for one peer."""

    async def listen_tcp(self, host: str, port: int) -> list[socket.socket]:
        """Listeners on all addresses of `host`, all on one port: "" for every interface,
        "localhost" for the loopback addresses."""

    async def listen_unix(self, path: str, mask: int, unlink: bool) -> socket.socket:
        """A listener at `path`, made with umask `mask`; `unlink`: a socket there gives way."""

    async def listen_udp(self, host: str, port: int) -> list[socket.socket]:
        """Bound UDP sockets, as `listen_tcp`."""

    async def unlink(self, path: str) -> None:
        """Remove the name of a socket that `listen_unix` made."""


class OwnSockets:
    """Sockets with this process's rights."""

    async def connect_tcp(self, host: str, port: int) -> socket.socket:
        return await _first(host, port, socket.SOCK_STREAM)

    async def connect_udp(self, host: str, port: int) -> socket.socket:
        return await _first(host, port, socket.SOCK_DGRAM)

    async def connect_unix(self, path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        return await _connected(sock, path)

    async def listen_tcp(self, host: str, port: int) -> list[socket.socket]:
        found = await bound(host, port, socket.SOCK_STREAM)
        for sock in found:
            sock.listen(BACKLOG)
        return found

    async def listen_udp(self, host: str, port: int) -> list[socket.socket]:
        return await bound(host, port, socket.SOCK_DGRAM)

    async def unlink(self, path: str) -> None:
        remove_socket(path)

    async def listen_unix(self, path: str, mask: int, unlink: bool) -> socket.socket:
        if unlink:
            remove_socket(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        before = os.umask(mask)
        try:
            sock.bind(path)
        except OSError:
            sock.close()
            raise
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
        return sock


def remove_socket(path: str) -> None:
    """Remove a socket's name, and nothing that is no socket."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            Path(path).unlink()


async def addresses(
    host: str | None, port: int, kind: socket.SocketKind, flags: int = 0
) -> list[tuple[Any, ...]]:
    """What getaddrinfo(3) says. Numbers are not worth a thread."""
    try:
        return socket.getaddrinfo(host, port, type=kind, flags=flags | socket.AI_NUMERICHOST)
    except OSError:
        loop = asyncio.get_running_loop()
        return list(await loop.getaddrinfo(host, port, type=kind, flags=flags))


async def _first(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A socket connected to the first address that takes it."""
    error: OSError = OSError(f"{host} has no address")
    for family, type_, protocol, _, address in await addresses(host, port, kind):
        try:
            sock = socket.socket(family, type_, protocol)
            if kind is socket.SOCK_STREAM:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            else:
                offload.prepare_forward(sock)
            return await _connected(sock, address)
        except OSError as e:
            error = e
    raise error


async def _connected(sock: socket.socket, address: object) -> socket.socket:
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, address)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise
    return sock


async def bound(
    host: str, port: int, kind: socket.SocketKind, *, needs_all: bool = False
) -> list[socket.socket]:
    """Sockets on all addresses of `host`. With port 0 the system chooses for the first one, and
    the others follow. One address that is free is enough, unless it `needs_all`. Raises
    OSError."""
    if host == "localhost":
        infos = await addresses(None, port, kind)
    else:
        infos = await addresses(host or None, port, kind, socket.AI_PASSIVE)
    found: list[socket.socket] = []
    error: OSError = OSError(f"{host} has no address")
    for family, type_, protocol, _, address in infos:
        try:
            sock = socket.socket(family, type_, protocol)
        except OSError as e:  # no such family here
            error = e
            continue
        try:
            _prepare_to_bind(sock, kind)
            chosen = found[0].getsockname()[1] if found else port
            sock.bind((address[0], chosen, *address[2:]))
            found.append(sock)
        except OSError as e:
            error = e
            sock.close()
            if needs_all and e.errno == errno.EADDRINUSE:
                break
    if needs_all and error.errno == errno.EADDRINUSE:
        for sock in found:
            sock.close()
        found = []
    if not found:
        raise error
    return found


def _prepare_to_bind(sock: socket.socket, kind: socket.SocketKind) -> None:
    sock.setblocking(False)
    if kind is socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        offload.prepare_forward(sock)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def explain(error: OSError) -> str:
    """The error in the system's own words; asyncio puts its own before them."""
    if error.errno and error.errno > 0 and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error)
