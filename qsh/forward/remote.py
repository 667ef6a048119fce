"""Listeners that the peer asks for (-R at the server): RFC 4254 section 7.1 and its kin.

Every connection or flow that they take becomes a channel of the peer. Who may listen where is the
decision of whoever makes the sockets.
"""

import socket

from qsh.errors import NetworkError
from qsh.forward import tcp
from qsh.forward.listener import Listener
from qsh.forward.sockets import Sockets, explain
from qsh.forward.udp import UdpListener
from qsh.log import logger
from qsh.net.connection import Connection
from qsh.wire.codec import encode_body
from qsh.wire.forward_messages import (
    CancelStreamlocalForward,
    CancelTcpipForward,
    CancelUdpForward,
    ForwardedStreamlocal,
    ForwardedTcpip,
    ForwardedUdp,
    PortChosen,
    StreamlocalForward,
    TcpipForward,
    UdpForward,
)

_log = logger("forward")

MAX_LISTENERS = 256
"""Forwards that one peer may have at a time."""

Key = tuple[str, str, int]
"""`tcp`, `udp` or `unix`; host or path as asked for; port."""


class RemoteForwards:
    """The listeners of one connection. `mask` and `unlink` are StreamLocalBindMask and
    StreamLocalBindUnlink."""

    def __init__(
        self, connection: Connection, sockets: Sockets, *, mask: int = 0o177, unlink: bool = False
    ) -> None:
        self._connection = connection
        self._sockets = sockets
        self._mask = mask
        self._unlink = unlink
        self._active: dict[Key, Listener | UdpListener] = {}

    async def answer(self, body: object) -> bytes | None:
        """Do what a global request asks; its answer's data, None for failure, also if it is none
        of ours."""
        try:
            match body:
                case TcpipForward(host, port):
                    return await self._listen_tcp(host, port)
                case UdpForward(host, port):
                    return await self._listen_udp(host, port)
                case StreamlocalForward(path):
                    return await self._listen_unix(path)
                case CancelTcpipForward(host, port):
                    return await self._cancel(("tcp", host, port))
                case CancelUdpForward(host, port):
                    return await self._cancel(("udp", host, port))
                case CancelStreamlocalForward(path):
                    return await self._cancel(("unix", path, 0))
        except OSError as error:
            _log.info("cannot listen: %s", explain(error))
        except NetworkError as error:
            _log.debug1("cannot listen: %s", error)
        return None

    def close(self) -> None:
        """Listen no more."""
        for listener in self._active.values():
            listener.close()
        self._active.clear()

    async def _listen_tcp(self, host: str, port: int) -> bytes | None:
        if not self._is_free(("tcp", host, port)):
            return None
        sockets = await self._sockets.listen_tcp(host, port)
        actual = _port(sockets)
        opens = tcp.through(
            self._connection, lambda originator: ForwardedTcpip(host, actual, *originator)
        )
        self._active["tcp", host, actual] = Listener(sockets, opens)
        return b"" if port else encode_body(PortChosen(actual))

    async def _listen_udp(self, host: str, port: int) -> bytes | None:
        if not self._is_free(("udp", host, port)):
            return None
        sockets = await self._sockets.listen_udp(host, port)
        actual = _port(sockets)
        self._active["udp", host, actual] = UdpListener(
            self._connection, sockets,
            lambda originator: ForwardedUdp(host, actual, *originator),
        )  # fmt: skip
        return b"" if port else encode_body(PortChosen(actual))

    async def _listen_unix(self, path: str) -> bytes | None:
        if not self._is_free(("unix", path, 0)):
            return None
        sock = await self._sockets.listen_unix(path, self._mask, self._unlink)
        opens = tcp.through(self._connection, lambda _originator: ForwardedStreamlocal(path))
        self._active["unix", path, 0] = Listener([sock], opens)
        return b""

    async def _cancel(self, key: Key) -> bytes | None:
        listener = self._active.pop(key, None)
        if listener is None:
            return None
        listener.close()
        if key[0] == "unix":
            await self._sockets.unlink(key[1])
        return b""

    def _is_free(self, key: Key) -> bool:
        """Port 0 is another one each time; what is in use already would only confuse."""
        if len(self._active) >= MAX_LISTENERS:
            _log.info("no more listeners than %d", MAX_LISTENERS)
            return False
        return key not in self._active


def _port(sockets: list[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])
