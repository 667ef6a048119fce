"""The forwards of one connection: listeners here, requests to the server, channels it opens.

    bind()             listeners of this side exist; nobody is served yet
    request()          what the server is to listen to: sent with the login, costs no round trip
    start()            after the login: serve, and report what the server answered
    add_forward(), cancel_forward()    at any time after that: `~C`, `-O forward`, `-O cancel`
"""

import asyncio
import os
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.forwards.local import LocalForwards
from qsh.client.forwards.remote import AskedForwards
from qsh.client.login.session_proof import SessionProof
from qsh.config.client_settings import ClientSettings
from qsh.errors import ChannelOpenError, OpenFailure, RequestError
from qsh.forward import agent
from qsh.forward.sockets import OwnSockets, explain
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.tasks import cancel, spawn
from qsh.wire.forward_messages import AgentOpen, ForwardedUdp, X11Open

if TYPE_CHECKING:
    from qsh.client.forwards.remote import Taker
    from qsh.config.forward_specs import ForwardSpec
    from qsh.forward.tunnel import Device
    from qsh.forward.x11 import X11Access
    from qsh.wire.forward_messages import StreamlocalForward, TcpipForward

    Wanted = tuple[ForwardSpec, bool]

_log = log.logger("forward")


class Forwards:
    """The forwards of a connection to the owner of `host_key`. What is asked for at its start and
    fails is told, and raises RequestError if ExitOnForwardFailure.

    `wanted` are the forwards to have, and whether each is remote: those of the settings, unless an
    earlier connection had others; it follows what is added and cancelled.
    """

    def __init__(
        self, connection: Connection, settings: ClientSettings, host_key: bytes,
        session_id: bytes, wanted: "list[Wanted] | None" = None,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._settings = settings
        self._proof = SessionProof(connection, host_key, session_id)
        self.wanted = _of_settings(settings) if wanted is None else wanted
        self._sockets = OwnSockets()
        self._here = LocalForwards(connection, settings, self._sockets)
        self._there = AskedForwards(connection, settings, self._sockets)
        self._asked: list[ForwardSpec] = []
        self._device: Device | None = None
        self._tunnel: Channel | None = None
        self._x11: X11Access | None = None
        self.x11_request: object = None
        """What a session asks for, to have a display that leads here; None for none."""
        self._serving: list[asyncio.Task[None]] = []
        self._taken: set[asyncio.Task[None]] = set()

    async def bind(self) -> None:
        """Make what this side needs."""
        settings = self._settings
        for spec, is_remote in self.wanted:
            try:
                if not is_remote:
                    await self._here.add(spec)
            except RequestError as error:
                self._fail(str(error))
        if settings.tunnel != "no":
            self._open_tunnel_device()
        if settings.forward_x11 and settings.session_type != "none":
            await self._prepare_display()

    def request(self) -> None:
        """Ask the server for what its side needs; answers are awaited by `start`."""
        for spec, is_remote in self.wanted:
            try:
                if is_remote:
                    self._there.ask(spec)
                    self._asked.append(spec)
            except RequestError as error:
                self._fail(str(error))
        if self._device is not None:
            from qsh.client.forwards import tunnel

            self._tunnel = tunnel.ask(self._connection, self._settings)

    async def start(self) -> None:
        """Serve from now on; returns when all answers are there."""
        self._here.start()
        self._serving.append(spawn(self._take_channels(), "forwarded channels"))
        for spec in self._asked:
            try:
                await self._there.settle(spec)
            except RequestError as error:
                self._fail(str(error))
        self._asked.clear()
        if self._device is not None and self._tunnel is not None:
            await self._start_tunnel(self._tunnel, self._device)

    async def stop(self) -> None:
        """Listen no more; connections that were taken go on."""
        await cancel(*self._serving)
        await self._there.stop()
        await self._here.stop()

    async def drained(self) -> None:
        """Until no forwarded connection is open: ssh(1) waits for them at its end, too."""
        await self._here.drained()
        while self._taken:
            await asyncio.wait(set(self._taken))

    # ------------------------------------------------------------ at run time

    async def add_forward(self, spec: "ForwardSpec", *, is_remote: bool = False) -> int:
        """Add a forward of -L or -D, or if it `is_remote` of -R; the port that is listened on (0
        for a Unix socket). Raises RequestError, NetworkError."""
        if is_remote:
            self._there.ask(spec)
            port = await self._there.settle(spec)
        else:
            port = await self._here.add(spec)
        self.wanted.append((spec, is_remote))
        return port

    async def cancel_forward(self, spec: "ForwardSpec", *, is_remote: bool = False) -> None:
        """End a forward; only where it listens matters (and for port 0 of -R, its target).
        Connections that were taken go on. Raises RequestError, NetworkError."""
        ended = await (self._there if is_remote else self._here).cancel(spec)
        self.wanted.remove((ended, is_remote))

    async def lend(self, wanted: "TcpipForward | StreamlocalForward", take: "Taker") -> bytes:
        """As AskedForwards.lend. A later connection does not have it: whom it was lent to asks
        anew."""
        return await self._there.lend(wanted, take)

    async def take_back(self, lent: "TcpipForward | StreamlocalForward") -> None:
        """As AskedForwards.take_back."""
        await self._there.take_back(lent)

    # ------------------------------------------------------------ inside

    def _open_tunnel_device(self) -> None:
        from qsh.client.forwards import tunnel

        try:
            self._device = tunnel.open_device(self._settings)
        except OSError as error:
            self._fail(f"cannot open a tunnel device: {explain(error)}")

    async def _start_tunnel(self, channel: Channel, device: "Device") -> None:
        from qsh.forward.tunnel import Tunnel, tune

        try:
            await channel.opened()
        except ChannelOpenError as error:
            os.close(device.descriptor)
            self._fail(f"the server refuses the tunnel: {error}")
        else:
            _log.info("Tunnel by %s", device.name)
            if self._settings.congestion_control == "auto":
                tune(self._connection)
            self._serving.append(spawn(Tunnel(channel, device).run(), "tunnel"))

    async def _prepare_display(self) -> None:
        from qsh.client.session import x11

        try:
            self._x11 = await x11.prepare(self._settings, os.environ)
        except (x11.DisplayError, OSError) as error:
            _log.info("no X11 forwarding: %s", error)
        else:
            self.x11_request = x11.request_for(self._x11)

    async def _take_channels(self) -> None:
        while (channel := await self._connection.accept_channel()) is not None:
            taken = spawn(self._take(channel), "forwarded channel")
            if not isinstance(channel.body, ForwardedUdp):  # a flow has no end to wait for
                self._taken.add(taken)
                taken.add_done_callback(self._taken.discard)

    async def _take(self, channel: Channel) -> None:
        match channel.body:
            case AgentOpen() if self._settings.forward_agent:
                binding = await self._proof.agent_binding(is_forwarding=True)
                await agent.serve(channel, self._sockets, self._settings.forward_agent, binding)
            case X11Open() if self._x11 is not None:
                from qsh.forward import x11

                await x11.serve(channel, self._sockets, self._x11)
            case _:
                if not await self._there.take(channel):
                    _log.debug1("a channel of type %s refused", channel.kind)
                    channel.refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, "nobody asked for it")

    def _fail(self, text: str) -> None:
        if self._settings.exit_on_forward_failure:
            raise RequestError(text)
        _log.error("%s", text)


def _of_settings(settings: ClientSettings) -> "list[Wanted]":
    here = (*settings.local_forwards, *settings.dynamic_forwards)
    return [(spec, False) for spec in here] + [(spec, True) for spec in settings.remote_forwards]
