"""Listeners of this side: -L and -D. Bound before the login, served after it."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from qsh.config.client_settings import ClientSettings
from qsh.errors import RequestError
from qsh.forward import socks, tcp
from qsh.forward.flow import Oversize
from qsh.forward.listener import Listener
from qsh.forward.permissions import GatewayPorts, client_listens_at
from qsh.forward.sockets import Sockets, explain
from qsh.forward.udp import UdpListener
from qsh.net.connection import Connection
from qsh.wire.forward_messages import DirectStreamlocal, DirectTcpip, DirectUdp

if TYPE_CHECKING:
    from qsh.config.forward_specs import ForwardSpec, Place

Key = tuple[bool, str, int]
"""Whether it is of UDP; path or host; port."""


class LocalForwards:
    """The listeners of this side, by where they listen."""

    def __init__(
        self, connection: Connection, settings: ClientSettings, sockets: Sockets
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._sockets = sockets
        self._bound: dict[Key, tuple[ForwardSpec, list[socket.socket]]] = {}
        self._active: dict[Key, tuple[ForwardSpec, Listener | UdpListener]] = {}
        self._retired: list[Listener | UdpListener] = []
        self._is_serving = False

    async def add(self, spec: "ForwardSpec") -> int:
        """Listen, and serve as soon as all others are; the port. Raises RequestError."""
        key = self._key(spec)
        if key in self._bound or key in self._active:
            raise RequestError(f"cannot listen on {spec.listen}: it is forwarded already")
        try:
            sockets = await self._listen(spec)
        except OSError as error:
            raise RequestError(f"cannot listen on {spec.listen}: {explain(error)}") from None
        self._bound[key] = spec, sockets
        name = sockets[0].getsockname()
        if self._is_serving:
            self.start()
        return name[1] if isinstance(name, tuple) else 0

    async def cancel(self, spec: "ForwardSpec") -> "ForwardSpec":
        """Listen no more; gives the forward. Connections that were taken go on. Raises
        RequestError."""
        found = self._active.pop(self._key(spec), None)
        if found is None:
            raise RequestError(f"nothing is forwarded from {spec.listen}")
        ended, listener = found
        listener.close()
        self._retired.append(listener)
        if spec.listen.path:
            await self._sockets.unlink(spec.listen.path)
        return ended

    def start(self) -> None:
        """Serve."""
        self._is_serving = True
        for key, (spec, sockets) in self._bound.items():
            self._active[key] = spec, self._serve(spec, sockets)
        self._bound.clear()

    async def stop(self) -> None:
        """Listen no more; connections that were taken go on."""
        for _, listener in self._active.values():
            listener.close()
        for _, sockets in self._bound.values():
            for sock in sockets:
                sock.close()
        for is_udp, name, port in (*self._active, *self._bound):
            if not is_udp and not port:
                await self._sockets.unlink(name)
        self._active.clear()
        self._bound.clear()

    async def drained(self) -> None:
        """Until no connection that was taken is open."""
        for listener in (*(found for _, found in self._active.values()), *self._retired):
            if isinstance(listener, Listener):
                await listener.drained()

    # ------------------------------------------------------------ inside

    def _key(self, spec: "ForwardSpec") -> Key:
        listen = spec.listen
        return spec.is_udp, listen.path or self._host(listen), listen.port

    def _host(self, listen: "Place") -> str:
        gateway = GatewayPorts.YES if self._settings.gateway_ports else GatewayPorts.NO
        return client_listens_at(listen.host, gateway)

    async def _listen(self, spec: "ForwardSpec") -> list[socket.socket]:
        settings, listen = self._settings, spec.listen
        if listen.path:
            mask, unlink = settings.stream_local_bind_mask, settings.stream_local_bind_unlink
            return [await self._sockets.listen_unix(listen.path, mask, unlink)]
        make = self._sockets.listen_udp if spec.is_udp else self._sockets.listen_tcp
        return await make(self._host(listen), listen.port)

    def _serve(self, spec: "ForwardSpec", sockets: list[socket.socket]) -> Listener | UdpListener:
        connection = self._connection
        if spec.target is None:
            return Listener(sockets, socks.Socks(connection).serve)
        opens = _opens(spec.target, spec.is_udp)
        if spec.is_udp:
            oversize = Oversize.DROP if spec.drops_large else Oversize.STREAM
            return UdpListener(connection, sockets, opens, oversize)
        return Listener(sockets, tcp.through(connection, opens))


def _opens(target: "Place", is_udp: bool) -> Callable[[tuple[str, int]], object]:
    """The channel open for a connection from some originator."""
    if target.path:
        return lambda _originator: DirectStreamlocal(target.path)
    kind, host, port = DirectUdp if is_udp else DirectTcpip, target.host or "", target.port
    return lambda originator: kind(host, port, *originator)
