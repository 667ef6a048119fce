"""Forwards at the server: the channels and global requests of one client.

The code that copies is the client's too (qsh.forward); sockets come from the user's opener, which
decides about every one of them.
"""

from contextlib import suppress

from qsh.errors import NetworkError
from qsh.forward import tcp, udp
from qsh.forward.listener import Listener
from qsh.forward.remote import RemoteForwards
from qsh.forward.sockets import explain
from qsh.forward.tunnel import Tunnel, tune
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.tasks import spawn
from qsh.server.worker.monitor_client import MonitorClient, MonitorGoneError
from qsh.server.worker.opener_client import OpenerSockets
from qsh.wire.forward_messages import (
    AgentOpen,
    DirectStreamlocal,
    DirectTcpip,
    DirectUdp,
    TunnelOpen,
    X11Open,
)

_log = logger("forward")


class Forwarding:
    """The forwards of one connection. With `may_tune` it is adapted to what it carries."""

    def __init__(self, connection: Connection, client: MonitorClient, *, may_tune: bool) -> None:
        self._connection = connection
        self._may_tune = may_tune
        self._sockets = OpenerSockets(client)
        self._remote = RemoteForwards(connection, self._sockets)
        self._agent: Listener | None = None
        self._agent_path = ""

    def take(self, channel: Channel) -> bool:
        """Serve a channel, if it is one of ours."""
        if not isinstance(channel.body, DirectTcpip | DirectStreamlocal | DirectUdp | TunnelOpen):
            return False
        spawn(self._serve(channel), "forward: channel")
        return True

    async def answer(self, body: object) -> bytes | None:
        """The answer to a global request; None for failure, also if it is none of ours."""
        return await self._remote.answer(body)

    async def settled(self) -> None:
        """Until all that the client has asked for so far is done: what a session runs may
        count on it."""
        await self._connection.requests_answered()

    async def agent(self) -> str:
        """The path of the socket that leads to the client's agent; empty if there may be none."""
        if self._agent is None:
            try:
                sock, self._agent_path = await self._sockets.listen_agent()
            except OSError as error:
                _log.info("no agent forwarding: %s", explain(error))
                return ""
            opens = tcp.through(self._connection, lambda _originator: AgentOpen())
            self._agent = Listener([sock], opens)
        return self._agent_path

    async def x11(self, *, is_single: bool) -> tuple[Listener, int] | None:
        """A display that leads to the client's: its listener and number; None if there may be
        none. With `is_single` it takes one connection only."""
        try:
            sockets, display = await self._sockets.listen_x11()
        except OSError as error:
            _log.info("no X11 forwarding: %s", explain(error))
            return None
        listener = Listener(
            sockets, tcp.through(self._connection, lambda originator: X11Open(*originator)),
            is_single=is_single,
        )  # fmt: skip
        return listener, display

    async def _serve(self, channel: Channel) -> None:
        with suppress(NetworkError, MonitorGoneError):
            match channel.body:
                case DirectUdp(host, port):
                    await udp.connect(channel, self._sockets, (host, port))
                case TunnelOpen(mode, unit):
                    await self._serve_tunnel(channel, mode, unit)
                case _:
                    await tcp.connect(channel, self._sockets)

    async def _serve_tunnel(self, channel: Channel, mode: int, unit: int) -> None:
        try:
            device = await self._sockets.open_tunnel(mode, unit)
        except OSError as error:
            tcp.refuse(channel, error)
            return
        _log.info("tunnel by %s", device.name)
        channel.accept()
        if self._may_tune:
            tune(self._connection)
        await Tunnel(channel, device).run()
