"""Listeners that the server was asked for: -R. Their connections come as channels of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from qsh import log
from qsh.config.client_settings import ClientSettings
from qsh.errors import OpenFailure, RequestError
from qsh.forward import socks, tcp, udp
from qsh.forward.flow import Oversize
from qsh.forward.permissions import Endpoint, asked_of_server
from qsh.forward.sockets import Sockets
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.tasks import cancel, spawn
from qsh.wire.codec import decode_body
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

if TYPE_CHECKING:
    from qsh.config.forward_specs import ForwardSpec

Key = tuple[str, str, int]
"""`tcp`, `udp` or `unix`; host or path as asked for; port."""

Taker = Callable[[Channel], Awaitable[None]]

_log = log.logger("forward")


class AskedForwards:
    """What the server listens to for us."""

    def __init__(
        self, connection: Connection, settings: ClientSettings, sockets: Sockets
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._sockets = sockets
        self._specs: dict[Key, ForwardSpec] = {}
        self._answers: dict[Key, asyncio.Task[bytes]] = {}
        self._lent: dict[Key, Taker] = {}
        self._lending: set[asyncio.Task[bytes]] = set()

    def ask(self, spec: "ForwardSpec") -> None:
        """Send the request; `settle` has its answer. Raises RequestError if it was made before."""
        key = _key(spec)
        if key in self._lent or (key in self._specs and key[2]):
            raise RequestError(f"the server listens on {spec.listen} already")
        # A connection may come through it before the answer does.
        self._specs[key] = spec
        request = self._connection.request(_request(key))
        self._answers[key] = spawn(request, "remote forward")

    async def settle(self, spec: "ForwardSpec") -> int:
        """The port that the server listens on; 0 for a Unix socket. Raises RequestError if it
        refuses."""
        kind, host, port = key = _key(spec)
        answer = self._answers[key]
        try:
            data = await answer
        except RequestError:
            self._specs.pop(key, None)
            raise RequestError(f"the server refuses to listen on {spec.listen}") from None
        finally:
            if self._answers.get(key) is answer:
                del self._answers[key]
        if port or kind == "unix":
            return port
        chosen = decode_body(PortChosen, data).port
        self._specs.pop(key, None)
        self._specs[kind, host, chosen] = spec
        # As ssh(1) says it, for those who read it from there.
        target = "SOCKS" if spec.target is None else str(spec.target)
        _log.info("Allocated port %d for remote forward to %s", chosen, target)
        return chosen

    async def cancel(self, spec: "ForwardSpec") -> "ForwardSpec":
        """Have the server listen no more; gives the forward. Raises RequestError."""
        key = self._find(spec)
        if key is None:
            raise RequestError(f"the server does not listen on {spec.listen} for us")
        await self._connection.request(_request(key, is_over=True))
        return self._specs.pop(key)

    def _find(self, spec: "ForwardSpec") -> Key | None:
        """Port 0 stands for the one that was chosen."""
        key = _key(spec)
        if key in self._specs:
            return key
        same = [known for known, other in self._specs.items() if other == spec]
        return same[0] if same else None

    async def lend(self, wanted: TcpipForward | StreamlocalForward, take: Taker) -> bytes:
        """Have the server listen for somebody else, whom `take` gives the channels; the answer's
        data. Raises RequestError, NetworkError."""
        key = _key_of(wanted)
        assert key is not None
        if key in self._lent or (key in self._specs and (key[2] or key[0] == "unix")):
            raise RequestError("the server listens there already")
        lending = spawn(self._lend(wanted, key, take), "lent remote forward")
        self._lending.add(lending)
        lending.add_done_callback(self._lending.discard)
        return await lending

    async def _lend(self, wanted: object, key: Key, take: Taker) -> bytes:
        data = await self._connection.request(wanted)
        kind, host, port = key
        if kind == "tcp" and not port:
            port = decode_body(PortChosen, data).port
        self._lent[kind, host, port] = take
        return data

    async def take_back(self, lent: TcpipForward | StreamlocalForward) -> None:
        """End a forward that was lent. Raises RequestError, NetworkError."""
        key = _key_of(lent)
        assert key is not None
        self._lent.pop(key, None)
        await self._connection.request(_request(key, is_over=True))

    async def stop(self) -> None:
        """Wait for no more answers."""
        await cancel(*self._answers.values(), *self._lending)

    # ------------------------------------------------------------ its channels

    async def take(self, channel: Channel) -> bool:
        """Connect a channel, if it comes from one of these listeners."""
        key = _key_of(channel.body)
        if key is None:
            return False
        await self._answered(key)
        if key in self._lent:
            await self._lent[key](channel)
        else:
            await self._connect(channel, self._specs.get(key))
        return True

    async def _answered(self, key: Key) -> None:
        """The first connection to a port that the server chose may overtake the answer that names
        it, as the first one to a lent listener may."""
        waiting = [*self._answers.values(), *self._lending]
        if waiting and key not in self._specs and key not in self._lent:
            await asyncio.wait(waiting)
            await asyncio.sleep(0)

    async def _connect(self, channel: Channel, spec: "ForwardSpec | None") -> None:
        if spec is None:
            _log.error("the server has a connection from a forward that nobody asked for")
            channel.refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, "no such forward")
        elif spec.target is None:
            await socks.serve_remote(channel, self._sockets, self._permitted())
        elif spec.is_udp:
            address = (spec.target.host or "", spec.target.port)
            oversize = Oversize.DROP if spec.drops_large else Oversize.STREAM
            await udp.connect(channel, self._sockets, address, oversize)
        else:
            place = spec.target
            target = place.path or (place.host or "", place.port)
            await tcp.connect_to(channel, self._sockets, target)

    def _permitted(self) -> tuple[Endpoint, ...] | None:
        permits = self._settings.permit_remote_open
        if permits is None:
            return None
        return tuple(Endpoint(host, port or None) for host, port in permits)


def _key(spec: "ForwardSpec") -> Key:
    if spec.listen.path:
        return "unix", spec.listen.path, 0
    return "udp" if spec.is_udp else "tcp", asked_of_server(spec.listen.host), spec.listen.port


def _key_of(body: object) -> Key | None:
    """The listener that a message is about; None if it is about none."""
    match body:
        case ForwardedTcpip(host, port) | TcpipForward(host, port):
            return "tcp", host, port
        case ForwardedUdp(host, port):
            return "udp", host, port
        case ForwardedStreamlocal(path) | StreamlocalForward(path):
            return "unix", path, 0
    return None


def _request(key: Key, *, is_over: bool = False) -> object:
    kind, host, port = key
    if kind == "unix":
        return CancelStreamlocalForward(host) if is_over else StreamlocalForward(host)
    if kind == "udp":
        return CancelUdpForward(host, port) if is_over else UdpForward(host, port)
    return CancelTcpipForward(host, port) if is_over else TcpipForward(host, port)
