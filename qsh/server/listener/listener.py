"""The listener: owns the port, finds each datagram's worker, has new clients served.

Reads QUIC's invariant header, the connection ID's number and Retry tokens, nothing else. What the
kernel gives to the workers' connected sockets never comes here. One blocking selector loop, no
asyncio. It may die at any time: the next one finds all connections again (server.adoption).
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from qsh.config.server_settings import ServerSettings
from qsh.errors import ConfigError, NetworkError
from qsh.log import logger
from qsh.quic.events import Address
from qsh.server.launch import messages as launch_messages
from qsh.server.listener.adoption import Adoption
from qsh.server.listener.cid_router import Header, parse_header
from qsh.server.listener.connection_ids import ServerKeys
from qsh.server.listener.connections import DATAGRAMS_PER_TURN, Connections
from qsh.server.listener.idleness import Idleness
from qsh.server.listener.link import LOGGED_IN, Hello
from qsh.server.listener.newcomers import Admitted, Newcomers
from qsh.server.listener.retry import Validated
from qsh.server.listener.served import Served, first_number, request_pair, socket_pair
from qsh.server.listener.sieve import Sieve
from qsh.server.listener.streams import is_stream, take_streams
from qsh.server.listener.supply import Supply
from qsh.server.listener.udp_sockets import Received, connect_to, plain, receive

_log = logger("listener")

RELAY_BUFFER = 1024 * 1024
"""Bytes that may wait for a worker; beyond that datagrams are lost, as on any path."""

LOOK_FOR_VISITORS = 1.0
"""Seconds between looks at whether anybody is there, where that matters."""


@dataclass(frozen=True, slots=True)
class Supplies:
    """Where processes come from."""

    workers: Supply
    monitors: Supply


class Listener:
    """The loop. `folder` is where monitors are found (empty for nowhere); `restart` is called on
    SIGHUP and returns only (ConfigError, NetworkError) if all must stay as it is."""

    def __init__(self, settings: ServerSettings, sockets: list[socket.socket], keys: ServerKeys,
                 supplies: Supplies, *, folder: str, streams: socket.socket | None = None,
                 restart: Callable[[list[socket.socket]], None]) -> None:
        self._supplies = supplies
        self._delay_secret = keys.delay_secret()
        self._restart = restart
        self._sockets = sockets
        self._selector = selectors.DefaultSelector()
        self._wake = socket.socketpair()
        self._newcomers = Newcomers(settings, keys)
        self._sieve = Sieve(sockets, time.monotonic())
        self._connections = Connections(keys, self._selector, self._take, self._take_news)
        self._next_number = first_number(time.time())
        self._is_ending = False
        listening = [plain(sock.getsockname()) for sock in sockets]
        self._adoption = Adoption(folder, listening, self._selector, self._adopt)
        for sock, (host, port) in zip(sockets, listening, strict=True):
            _log.info("Server listening on %s port %d.", host, port)
            self._selector.register(
                sock, selectors.EVENT_READ, lambda sock=sock: self._take_datagrams(sock)
            )

        if streams is not None:
            self._selector.register(
                streams, selectors.EVENT_READ, lambda: self._take_streams(streams)
            )

    def run(self, *, only_one_visit: bool = False) -> None:
        """Until SIGTERM or SIGINT, or also until one visit is over. Connections, and the host keys
        for them, go on without us."""
        idleness = Idleness(time.monotonic()) if only_one_visit else None
        while not self._is_ending:
            patience = self._sieve.patience or (LOOK_FOR_VISITORS if idleness else None)
            for key, _ in self._selector.select(patience):
                key.data()
            self._sieve.turn(time.monotonic())
            if idleness is not None:
                visitors = self._connections.visitors
                self._is_ending |= not idleness.left(visitors, time.monotonic())
        signal.set_wakeup_fd(-1)  # what comes now is told to nobody

    def begin(self) -> None:
        """Catch signals, and look for the connections of an earlier listener."""
        for sock in self._wake:
            sock.setblocking(False)
        signal.set_wakeup_fd(self._wake[1].fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._selector.register(self._wake[0], selectors.EVENT_READ, self._take_signals)
        _reap()
        self._adoption.begin()

    def _take_signals(self) -> None:
        for number in self._wake[0].recv(4096):
            if number in (signal.SIGTERM, signal.SIGINT):
                _log.info("Received signal %d; terminating.", number)
                self._is_ending = True
            elif number == signal.SIGHUP:
                _log.info("Received SIGHUP; restarting.")
                try:
                    self._restart(self._sockets)
                except (ConfigError, NetworkError) as error:
                    _log.error("%s: going on as before", error)
            elif number == signal.SIGCHLD:
                _reap()

    # ------------------------------------------------------------ datagrams

    def _take_datagrams(self, sock: socket.socket) -> None:
        for received in receive(sock, DATAGRAMS_PER_TURN):
            try:
                self._take(sock, received)
            except OSError as error:
                _log.error("cannot serve %s port %d: %s", *received.remote_address, error.strerror)

    def _take(self, sock: socket.socket, received: Received) -> None:
        """Garbage gets no answer and no line above debug: anybody can send it."""
        header = parse_header(received.data)
        remote = received.remote_address
        if header is None:
            _log.debug2("no QUIC packet from %s port %d", *remote)
            return
        served = self._connections.find(header, received)
        if served is not None:
            self._connections.relay(served, sock, received)
        elif not header.is_long:
            self._reset(sock, header, received)
        else:
            self._sieve.seen(received.data, header)
            found = self._newcomers.judge(
                received.data, header, remote, time.monotonic(), time.time()
            )
            if isinstance(found, Admitted):
                self._begin(sock, header, received, found.validated)
            elif found:
                _answer(sock, received, found)

    def _take_streams(self, control: socket.socket) -> None:
        """From the relay of TcpPort."""
        try:
            for stream, received in take_streams(control):
                try:
                    self._take_stream(stream, received)
                except OSError as error:
                    _log.error("cannot serve %s port %d: %s", *received.remote_address,
                               error.strerror)  # fmt: skip
        except EOFError:
            self._selector.unregister(control)
            if self._sockets:
                _log.error("the relay of TcpPort is gone")
            self._is_ending = not self._sockets  # qshd -i: that was all

    def _take_stream(self, stream: socket.socket, received: Received) -> None:
        header = parse_header(received.data)
        served = self._connections.find(header, received) if header is not None else None
        if served is not None:
            self._connections.relay_stream(served, stream, received)
            stream.close()
        elif header is not None and header.is_long:
            found = self._newcomers.judge(
                received.data, header, received.remote_address, time.monotonic(), time.time(),
                is_validated=True,
            )  # fmt: skip
            if isinstance(found, Admitted):
                self._begin(stream, header, received, found.validated)

    def _reset(self, sock: socket.socket, header: Header, received: Received) -> None:
        """Not while the connections of an earlier listener are still to be found."""
        if self._adoption.waiting:
            return
        packet = self._connections.reset(header, len(received.data), self._next_number)
        if packet and self._newcomers.may_answer(time.monotonic()):
            _answer(sock, received, packet)

    # ------------------------------------------------------------ connections

    def _begin(self, sock: socket.socket, header: Header, received: Received,
               valid: Validated | None) -> None:
        connected, strays = (sock, []) if is_stream(sock) else connect_to(sock, received)
        remote, local = received.remote_address, plain(received.local)
        early = [one.data for one in strays if one.remote_address == remote]
        relay, workers_relay = socket_pair(RELAY_BUFFER)
        report, monitors_report = socket_pair()
        requests, workers_requests = request_pair()
        number = self._next_number
        self._next_number += 1
        original = valid.original_destination if valid else header.destination
        try:
            self._supplies.monitors.ask(
                launch_messages.start_monitor(number, remote, local, original),
                (requests, monitors_report, relay),
            )
            self._supplies.workers.ask(
                launch_messages.start_worker(number, remote, local, original,
                                             valid.retry_source if valid else None,
                                             self._delay_secret,
                                             [received.data, *early]),
                (connected, workers_relay, workers_requests),
            )  # fmt: skip
        except OSError:
            report.close()
            relay.close()
            raise
        finally:
            for passed in (connected, workers_relay, monitors_report, requests, workers_requests):
                passed.close()
        first = (remote, header.destination)
        self._remember(
            Served(number, relay, report, (remote, local), first, is_real=valid is not None)
        )
        _log.verbose("Connection from %s port %d on %s port %d", *remote, *local)
        for stray in strays:
            if stray.remote_address != remote:
                self._take(sock, stray)

    def _remember(self, served: Served, *, is_logged_in: bool = False) -> None:
        self._connections.add(served)
        if not is_logged_in:
            self._newcomers.startups.add(served.number, served.path[0][0])

    def _adopt(self, hello: Hello, report: socket.socket, relay: socket.socket) -> None:
        """A connection that an earlier listener made."""
        peers = hello.peers
        path: tuple[Address, Address] = (peers.remote, peers.local)
        self._remember(
            Served(hello.worker, relay, report, path), is_logged_in=hello.is_logged_in
        )
        _log.debug1("took over connection %d from %s port %d", hello.worker, *peers.remote)

    def _take_news(self, served: Served, told: bytes) -> None:
        served.is_logged_in |= told == LOGGED_IN
        self._newcomers.take_news(
            served.number, served.path[0][0], told, time.monotonic(), is_real=served.is_real
        )


def _answer(sock: socket.socket, received: Received, packet: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.sendto(packet, received.remote)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
