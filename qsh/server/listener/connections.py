"""The connections that the listener serves, each with a worker and a monitor to hear from.

Finds the worker of a packet that the kernel did not route, relays packets and answers, and makes
new sockets for clients that moved.
"""

import contextlib
import os
import selectors
import socket
from collections.abc import Callable

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.quic.events import Address
from qsh.server.listener import connection_ids
from qsh.server.listener.cid_router import Header
from qsh.server.listener.connection_ids import ServerKeys
from qsh.server.listener.link import ANSWER, CONNECT, REAL
from qsh.server.listener.relay import MAX_RELAYED, decode_relayed, encode_relayed
from qsh.server.listener.served import Path, Served
from qsh.server.listener.streams import is_stream
from qsh.server.listener.udp_sockets import Received, connect_to, plain, send_from

_log = logger("listener")

DATAGRAMS_PER_TURN = 64

Stray = Callable[[socket.socket, Received], None]
"""Takes a datagram that landed in a new socket before it was connected."""
News = Callable[[Served, bytes], None]
"""Takes what the monitor of a connection tells; empty for its end, or its worker's."""


class Connections:
    """The table. `selector` is the listener's; its keys hold functions to call."""

    def __init__(self, keys: ServerKeys, selector: selectors.BaseSelector, stray: Stray,
                 news: News) -> None:
        self._keys = keys
        self._selector = selector
        self._stray = stray
        self._news = news
        self._served: dict[int, Served] = {}
        self._first_ids: dict[tuple[Address, bytes], int] = {}
        self._paths: dict[Path, int] = {}

    def __len__(self) -> int:
        return len(self._served)

    @property
    def visitors(self) -> int:
        """How many have logged in, those whose sessions are kept for them included."""
        return sum(served.is_logged_in for served in self._served.values())

    def add(self, served: Served) -> None:
        """Hear from it from now on."""
        self._served[served.number] = served
        if served.first is not None:
            self._first_ids[served.first] = served.number
        self._paths[served.path] = served.number
        for sock, call in ((served.report, self._take_report), (served.relay, self._take_answers)):
            self._selector.register(
                sock, selectors.EVENT_READ, lambda call=call: call(served)
            )

    def find(self, header: Header, received: Received) -> Served | None:
        """Whose packet this is, if its worker lives."""
        number = self._first_ids.get((received.remote_address, header.destination))
        if number is None:
            number = connection_ids.number_of(self._keys, header.destination)
        served = self._served.get(number) if number is not None else None
        return served if served is not None and served.is_worker_alive else None

    def relay(self, served: Served, sock: socket.socket, received: Received) -> None:
        """Give the worker a packet that came by `sock`."""
        served.detours.seen(sock, received)
        try:
            served.relay.send(encode_relayed(received.data, received.remote_address))
        except BlockingIOError:
            _log.debug2("worker %d takes no more datagrams", served.number)
        except OSError:
            served.is_worker_alive = False

    def relay_stream(self, served: Served, stream: socket.socket, received: Received) -> None:
        """Give the worker a stream of its client's, with the packet that came first by it."""
        message = encode_relayed(received.data, received.remote_address)
        try:
            socket.send_fds(served.relay, [message], [stream.fileno()])
        except BlockingIOError:
            _log.debug2("worker %d takes no more datagrams", served.number)
        except OSError:
            served.is_worker_alive = False

    def reset(self, header: Header, size: int, newest: int) -> bytes:
        """The stateless reset for a packet of `size` bytes whose worker is gone (RFC 9000 section
        10.3), which cannot say so itself; empty if the ID was never ours. `newest` is the number
        after the last one."""
        number = connection_ids.number_of(self._keys, header.destination)
        if number is None or number >= newest:
            return b""
        return connection_ids.stateless_reset(
            self._keys, header.destination, size, os.urandom(32)
        )

    # ------------------------------------------------------------ from monitors and workers

    def _take_report(self, served: Served) -> None:
        """From the monitor: the login is done, the client has moved, or all is over."""
        try:
            told = served.report.recv(256)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if told.startswith(CONNECT):
            self._answer_move(served, told[len(CONNECT) :])
            return
        if told.startswith(REAL):
            served.is_real = True
            told = told[len(REAL) :]
            if not told:
                return
        self._news(served, told)
        if told:
            return
        self._selector.unregister(served.report)
        served.report.close()
        self._take_worker_end(served)
        del self._served[served.number]

    def _answer_move(self, served: Served, request: bytes) -> None:
        """A socket for a client that moved, or none."""
        sock, number = None, b""
        try:
            number, remote = decode_relayed(request)
            sock = self._connect_again(served, remote)
        except (OSError, DecodeError) as error:
            _log.error("no socket for a client that moved: %s", error)
        with contextlib.suppress(OSError):
            socket.send_fds(served.report, [ANSWER + number], [sock.fileno()] if sock else [])
        if sock is not None:
            sock.close()

    def _connect_again(self, served: Served, remote: Address) -> socket.socket | None:
        """A new socket, never an old one connected anew; and none for a path in use, whose
        packets it would take."""
        detour = served.detours.find(remote)
        if detour is None:
            return None
        path = (remote, plain(detour.local))
        if self._paths.get(path, served.number) != served.number:
            return None
        connected, strays = detour.sock, list[Received]()
        if is_stream(connected):
            served.detours.forget(remote)
        else:
            found = Received(b"", detour.remote, detour.local)
            connected, strays = connect_to(detour.sock, found)
        self._forget_path(served)
        served.path = path
        self._paths[path] = served.number
        _log.verbose("Client of worker %d has moved to %s port %d", served.number, *remote)
        for stray in strays:
            self._stray(detour.sock, stray)
        return connected

    def _forget_path(self, served: Served) -> None:
        if self._paths.get(served.path) == served.number:
            del self._paths[served.path]

    def _take_answers(self, served: Served) -> None:
        """From the worker: datagrams for a client that has moved; or its end."""
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                message = served.relay.recv(MAX_RELAYED)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._take_worker_end(served)
                return
            with contextlib.suppress(OSError, DecodeError):
                data, remote = decode_relayed(message)
                detour = served.detours.spend(remote, len(data))
                if detour is not None:
                    send_from(detour.sock, data, detour.local, detour.remote)

    def _take_worker_end(self, served: Served) -> None:
        """Nobody is there any more to take its datagrams."""
        served.is_worker_alive = False
        self._forget_path(served)
        self._news(served, b"")
        if served.first is not None and self._first_ids.get(served.first) == served.number:
            del self._first_ids[served.first]
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(served.relay)
        served.relay.close()
