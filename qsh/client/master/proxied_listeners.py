"""What the server listens to for a client in proxy mode (PROTOCOL.mux): `ssh -O proxy -R`.

Each listener has one owner, so a connection to it finds its client; all end with their client.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from qsh.errors import NetworkError, RequestError
from qsh.net.channel import Channel
from qsh.wire.codec import decode_body
from qsh.wire.forward_messages import (
    CancelStreamlocalForward,
    CancelTcpipForward,
    PortChosen,
    StreamlocalForward,
    TcpipForward,
)
from qsh.wire.global_messages import decode_global

if TYPE_CHECKING:
    from qsh.client.forwards.forwards import Forwards

Listener = TcpipForward | StreamlocalForward
MAX_LISTENERS = 64
"""Of one client."""


class ProxiedListeners:
    """Those of one client. `take` gets each connection that comes through them."""

    def __init__(self, forwards: "Callable[[], Awaitable[Forwards]]",
                 take: Callable[[Channel], Awaitable[None]]) -> None:
        self._forwards = forwards
        self._take = take
        self._used: Forwards | None = None
        self._listeners: list[Listener] = []

    async def answer(self, name: str, data: bytes) -> bytes | None:
        """Do what a global request asks: the data of the answer, None to refuse. Raises
        DecodeError."""
        body = decode_global(name, data)
        try:
            match body:
                case TcpipForward() | StreamlocalForward():
                    return await self._listen(body)
                case CancelTcpipForward(host, port):
                    return await self._end(TcpipForward(host, port))
                case CancelStreamlocalForward(path):
                    return await self._end(StreamlocalForward(path))
        except (RequestError, NetworkError):
            pass
        return None

    async def close(self) -> None:
        """The client has hung up."""
        for listener in list(self._listeners):
            with contextlib.suppress(RequestError, NetworkError):
                await self._end(listener)

    async def _listen(self, wanted: Listener) -> bytes | None:
        if len(self._listeners) == MAX_LISTENERS:
            return None
        if self._used is None:
            self._used = await self._forwards()
        data = await self._used.lend(wanted, self._take)
        if isinstance(wanted, TcpipForward) and not wanted.port:
            wanted = TcpipForward(wanted.host, decode_body(PortChosen, data).port)
        self._listeners.append(wanted)
        return data

    async def _end(self, listener: Listener) -> bytes | None:
        if listener not in self._listeners or self._used is None:
            return None
        self._listeners.remove(listener)
        await self._used.take_back(listener)
        return b""
