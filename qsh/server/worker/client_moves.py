"""The worker's side of a client that moves: datagrams by way of the listener, and new sockets.

What comes from an address that the monitor has not allowed never reaches the engine, so that for
QUIC there is no such path. May not open sockets: the monitor passes one, once the engine has
validated the path.
"""

import asyncio
import contextlib
import socket

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.net.connection import Connection
from qsh.net.stream_link import link_on
from qsh.net.tasks import spawn
from qsh.quic.engine import Transmit
from qsh.quic.events import Address
from qsh.server.descriptors import receive_with
from qsh.server.listener.relay import MAX_RELAYED, decode_relayed, encode_relayed
from qsh.server.worker.monitor_client import MonitorClient, MonitorGoneError
from qsh.server.worker.move_verdicts import MoveVerdicts

_log = logger("worker")

RELAYED_PER_TURN = 64
STREAM_PATIENCE = 5.0
"""Seconds for a client whose stream is over to come by another way, which it begins to seek within
a second: a proxy may have cut the stream, and a client that was killed looks the same."""
MAX_HELD = 32
"""Datagrams that wait for the monitor's word on their address."""
MAX_HELD_HOSTS = 64
"""Addresses of which some wait; beyond that there are no new ones."""


class ClientMoves:
    """For one connection. `home` is where the client began."""

    def __init__(self, connection: Connection, client: MonitorClient, relay: socket.socket,
                 home: Address) -> None:
        self._connection = connection
        self._client = client
        self._relay = relay
        self._loop = asyncio.get_running_loop()
        self._home = home
        self._verdicts = MoveVerdicts(home[0])
        self._held: dict[str, list[tuple[bytes, Address]]] = {}
        self._asked: set[Address] = set()
        self._moved_early: Address | None = None

    def start(self) -> None:
        """Take what the listener relays, and answer by the same way."""
        self._loop.add_reader(self._relay.fileno(), self._receive)
        self._connection.paths.relay = self._send
        if self._home[1]:  # else there is one pipe, and no other way (qshd -i)
            self._connection.paths.patience = STREAM_PATIENCE
        self._connection.on_path_changed = self._path_changed

    def logged_in(self) -> None:
        """The monitor gives sockets from now on: ask for what was not to be had before."""
        if self._moved_early is not None:
            self._path_changed(self._moved_early)

    # ------------------------------------------------------------ datagrams

    def _receive(self) -> None:
        for _ in range(RELAYED_PER_TURN):
            try:
                message, descriptors = receive_with(self._relay, MAX_RELAYED, 1)
            except OSError:
                return
            if not message:  # the listener has gone; the connection goes on
                self._loop.remove_reader(self._relay.fileno())
                self._connection.paths.relay = None
                return
            stream = socket.socket(fileno=descriptors[0]) if descriptors else None
            with contextlib.suppress(DecodeError):
                data, remote = decode_relayed(message)
                if stream is None:
                    self._take(data, remote)
                else:
                    spawn(self._take_stream(stream, data, remote), "new stream")

    def _take(self, data: bytes, remote: Address) -> None:
        host, now = remote[0], self._loop.time()
        verdict = self._verdicts.get(host, now)
        if verdict:
            self._connection.receive_datagrams([data], remote)
        elif verdict is None and self._connection.wire.is_open:
            # Before the login nothing is known that could allow another address.
            if host in self._held:
                if len(self._held[host]) < MAX_HELD:
                    self._held[host].append((data, remote))
            elif len(self._held) < MAX_HELD_HOSTS and self._verdicts.may_ask(now):
                self._held[host] = [(data, remote)]
                spawn(self._judge(host), "new address")

    async def _take_stream(self, stream: socket.socket, data: bytes, remote: Address) -> None:
        """The client comes by TcpPort, where UDP does not get through any more."""
        host, now = remote[0], self._loop.time()
        verdict = self._verdicts.get(host, now)
        if verdict is None and self._connection.wire.is_open and self._verdicts.may_ask(now):
            with contextlib.suppress(MonitorGoneError):
                verdict = await self._ask(host)
        if not verdict:
            stream.close()
            return
        self._connection.paths.listen_to(link_on(stream, remote))
        self._connection.receive_datagrams([data], remote)

    async def _judge(self, host: str) -> None:
        try:
            allowed = await self._ask(host)
        except MonitorGoneError:
            return
        finally:
            held = self._held.pop(host, [])
        if allowed:
            for data, remote in held:
                self._connection.receive_datagrams([data], remote)

    async def _ask(self, host: str) -> bool:
        """The monitor's verdict, which is remembered. Raises MonitorGoneError."""
        allowed = await self._client.may_move(host)
        self._verdicts.put(host, self._loop.time(), allowed=allowed)
        return allowed

    def _send(self, transmit: Transmit) -> None:
        """By way of the listener, which sees to it that not too much is sent."""
        data, size = transmit.data, transmit.segment_size
        for start in range(0, len(data), size):
            with contextlib.suppress(OSError):  # full: lost, as on any path
                self._relay.send(
                    encode_relayed(data[start : start + size], transmit.remote),
                    socket.MSG_DONTWAIT,
                )

    # ------------------------------------------------------------ sockets

    def _path_changed(self, remote: Address) -> None:
        self._verdicts.moved_to(remote[0])
        if not self._connection.wire.is_open:
            # A NAT forgot the client while somebody typed a password: until the login the
            # listener relays.
            self._moved_early = remote
        elif not self._connection.paths.use_again(remote) and remote not in self._asked:
            self._asked.add(remote)
            spawn(self._connect(remote), "new socket")

    async def _connect(self, remote: Address) -> None:
        try:
            sock = await self._client.connect_to(remote)
        except MonitorGoneError:
            return
        finally:
            self._asked.discard(remote)
        if sock is None:
            _log.debug1("no socket for %s port %d: going on without", *remote)
            return
        self._connection.paths.use(link_on(sock, remote))
        # A path that no packet has come by yet is not the only one to listen to.
        self._connection.paths.use_again(remote)
