"""ProxyJump: through other hosts, with keys that end at the last one.

A host on the way is logged in to as any other, with its own keys and its own settings; what it
then carries is the next connection's packets, encrypted for whom they are. Between the hops they
travel as datagrams in datagrams, or by a stream to TcpPort where those do not get through.
"""

import asyncio
import socket
import time

from qsh import log
from qsh.client.dial.connect import connect, follow_network
from qsh.client.dial.route import HERE
from qsh.client.login.prompts import UserPrompter
from qsh.config.client import load_client
from qsh.config.client_settings import ClientSettings
from qsh.config.jumps import jumps_text
from qsh.config.lines import ConfigLine, option_line
from qsh.errors import NetworkError, QshError
from qsh.forward.flow_link import FlowLink
from qsh.net.connection import Connection
from qsh.net.dial import OpenStream
from qsh.net.endpoint import Endpoint
from qsh.net.migration import Migrator
from qsh.net.stream_link import SSH_GREETING
from qsh.net.tasks import spawn
from qsh.net.udp import DatagramLink
from qsh.quic.events import Address
from qsh.wire.forward_messages import DirectTcpip, DirectUdp

_log = log.logger("jump")


def hop_settings(settings: ClientSettings) -> ClientSettings:
    """Those of the last host before the server: its own, with the rest of the way before it.
    Raises ConfigError."""
    *others, hop = settings.proxy_jump
    lines: list[ConfigLine] = []
    wanted = {"User": hop.user, "Port": str(hop.port) if hop.port else None,
              "ProxyJump": jumps_text(tuple(others)) or None}  # fmt: skip
    for name, value in wanted.items():
        if value is not None:
            lines.append(option_line(name, value, "ProxyJump"))
    return load_client(hop.host, lines, config_file=settings.config_file)


class Hop:
    """The last host before the server of these settings, and our connection to it."""

    def __init__(self, settings: ClientSettings) -> None:
        self._target_settings = settings
        self._target = settings.hostname, settings.port
        self._tcp_port = settings.tcp_port
        self._settings = hop_settings(settings)
        self._prompter = UserPrompter(batch=settings.batch_mode or self._settings.batch_mode)
        self._connection: Connection | None = None
        self._network: Migrator | None = None

    @property
    def settings(self) -> ClientSettings:
        """Those of this host."""
        return self._settings

    async def connect(self) -> None:
        """Connect and log in. Raises QshError."""
        settings = self._settings
        _log.debug1("jumping through %s", settings.original_host)
        connection = await connect(settings, lambda: None, is_interactive=False)
        self._connection = connection
        try:
            await self._log_in(connection)
        except BaseException:
            connection.close()
            raise
        self._network = follow_network(connection, settings, is_interactive=False)
        spawn(_refuse_channels(connection), "channels of a jump host")

    async def _log_in(self, connection: Connection) -> None:
        from qsh.client.host.check import HostCheck
        from qsh.client.host.proofs import read_proof
        from qsh.client.login.keyring import Keyring
        from qsh.client.login.login import Login
        from qsh.client.login.remembered import last_identity

        settings = self._settings
        keyring = Keyring(settings, self._prompter)
        try:
            proof = read_proof(connection)
            check = HostCheck(connection, proof, settings, self._prompter, time.time())
            trust = await check.run()
            known = last_identity(settings.user, settings.host_key_name, settings.port)
            identities = await keyring.identities(known)
            login = Login(connection, proof, settings, keyring, self._prompter, identities,
                          may_type_secrets=not trust.is_changed)  # fmt: skip
            await login.start()
            await login.finish()
        finally:
            keyring.close()

    def open_link(self, there: Address) -> DatagramLink:
        """A link to the server. Raises OSError if the hop is gone."""
        connection = self._connection
        assert connection is not None
        try:
            channel = connection.open_channel(DirectUdp(*self._target, "127.0.0.1", 0))
        except QshError as error:
            raise OSError(0, str(error)) from None
        return FlowLink(channel, connection.local, there)

    def stream_opener(self, there: Address) -> OpenStream | None:
        """What connects to the server's TcpPort from the hop; None where that is not wanted."""
        port = self._tcp_port
        if port is None:
            return None

        async def open_stream(_endpoint: Endpoint) -> DatagramLink:
            from qsh.net.tls_link import open_tls_on

            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            spawn(self._carry(theirs, port), "stream by a jump host")
            assert self._connection is not None
            return await open_tls_on(ours, self._target[0], self._connection.local, there)

        return open_stream

    async def find_sshd(self) -> str:
        """As probe.wait_for_sshd, from the hop. Raises QshError if no SSH server greets us."""
        from qsh.client.dial.fallback import had_server
        from qsh.client.dial.probe import HEAD_START, KNOWN_MARGIN, MARGIN

        assert self._connection is not None
        await asyncio.sleep(HEAD_START)
        began = time.monotonic()
        channel = self._connection.open_channel(DirectTcpip(*self._target, "127.0.0.1", 0))
        try:
            await channel.opened()
            greeting = await channel.read()
        finally:
            channel.close()
        if not greeting.startswith(SSH_GREETING):
            raise NetworkError("no sshd listens there either")
        margin = KNOWN_MARGIN if had_server(self._target_settings) else MARGIN
        await asyncio.sleep(max(0.0, margin + time.monotonic() - began - HEAD_START))
        return HERE[0]

    async def _carry(self, sock: socket.socket, port: int) -> None:
        from qsh.forward.relay import relay

        assert self._connection is not None
        target = DirectTcpip(self._target[0], port, "127.0.0.1", 0)
        try:
            await relay(self._connection.open_channel(target), sock, is_ours=True)
        except QshError as error:
            sock.close()
            _log.debug1("no stream by the jump host: %s", error)

    def leave(self) -> None:
        """Close the connection."""
        if self._network is not None:
            self._network.stop()
        if self._connection is not None:
            self._connection.close()


async def _refuse_channels(connection: Connection) -> None:
    """A host on the way is asked for nothing, and gets nothing."""
    from qsh.errors import OpenFailure

    while (channel := await connection.accept_channel()) is not None:
        channel.refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, "nobody asked for it")
