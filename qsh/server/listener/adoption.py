"""How a new listener finds the connections that an earlier one made.

It looks into the run directory, where each living monitor has a socket (server.listener_link),
and takes over those whose clients come by one of its own addresses. What has died is cleared away.
"""

import contextlib
import os
import selectors
import socket
from collections.abc import Callable, Iterable
from functools import partial

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.quic.events import Address
from qsh.server import run_directory
from qsh.server.descriptors import receive_with
from qsh.server.listener.link import ADOPT, HELLO, MAX_HELLO, Hello, own_network

_log = logger("listener")

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104

Adopted = Callable[[Hello, socket.socket, socket.socket], None]
"""Takes over a connection: what it said, the socket to its monitor, the end of its relay."""


def is_ours(hello: Hello, listening: Iterable[Address], network: int) -> bool:
    """Whether the connection's client sends to one of these addresses."""
    local = hello.peers.local
    return hello.network == network and any(
        port == local[1] and (host in WILDCARDS or host == local[0]) for host, port in listening
    )


class Adoption:
    """One round of it. `selector` is the listener's; its keys hold functions to call."""

    def __init__(self, folder: str, listening: Iterable[Address],
                 selector: selectors.BaseSelector, adopted: Adopted) -> None:
        self._folder = folder
        self._listening = tuple(listening)
        self._selector = selector
        self._adopted = adopted
        self._network = own_network()
        self.waiting = 0
        """Monitors that have not told yet whose they are: an ID that nobody claims may be
        theirs."""

    def begin(self) -> None:
        """Knock at every door; what comes of it is the loop's."""
        if not self._folder:
            return
        for name in os.listdir(self._folder):
            try:
                sock = run_directory.connect_socket(self._folder, name)
            except ConnectionRefusedError:
                with contextlib.suppress(OSError):
                    os.unlink(f"{self._folder}/{name}")  # noqa: PTH108
            except OSError as error:
                _log.error("cannot take over connection %s: %s", name, error.strerror or error)
            else:
                sock.setblocking(False)
                self.waiting += 1
                self._wait(sock, partial(self._take_hello, sock))

    def _wait(self, sock: socket.socket, call: Callable[[], None]) -> None:
        self._selector.register(sock, selectors.EVENT_READ, call)

    def _take_hello(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        try:
            hello = HELLO.decode(sock.recv(MAX_HELLO))
            if isinstance(hello, Hello) and is_ours(hello, self._listening, self._network):
                sock.send(ADOPT)
                self._wait(sock, lambda: self._take_relay(hello, sock))
                return
        except (OSError, DecodeError):
            pass
        self.waiting -= 1
        sock.close()

    def _take_relay(self, hello: Hello, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self.waiting -= 1
        try:
            _, descriptors = receive_with(sock, 16, 1)
        except OSError:
            descriptors = []
        if not descriptors:
            sock.close()
            return
        relay = socket.socket(fileno=descriptors[0])
        relay.setblocking(False)
        self._adopted(hello, sock, relay)
