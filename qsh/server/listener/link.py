"""A monitor's way to the listener, and to the listener after that one.

A monitor is born with a socket to the listener that made its connection, and a copy of that
listener's end of the worker's relay: while it holds this, the worker does not even notice when the
listener dies. Its own socket in the run directory is where the next listener finds it:

    monitor → listener   Hello: which connection this is
    listener → monitor   ADOPT, if the connection came by one of its addresses
    monitor → listener   RELAY, with the copy; from then on all goes as with the first listener
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from qsh.log import logger
from qsh.server import run_directory
from qsh.server.accounts.environment import Peers
from qsh.server.descriptors import receive_with
from qsh.server.listener.relay import encode_relayed
from qsh.wire.codec import Registry, UInt32, UInt64, encode, message

_log = logger("monitor")

FOLDER = "connections"
"""In the run directory."""
LOGGED_IN = b"+"
"""This connection counts for MaxStartups no more."""
REAL = b"v"
"""Before other news or alone: the client has spoken after the handshake, so it receives at its
address."""
CONNECT = b"c"
"""A socket, please, connected to the address that follows, as in relay.py; in the datagram's place
is the question's number, which stands in the answer behind ANSWER."""
ANSWER = b"."
ADOPT, RELAY = b"a", b"r"
PATIENCE = 1.0
"""Seconds for the listener to answer; without a socket the worker goes on by its old one."""
MAX_HELLO = 512


@message(1)
@dataclass(frozen=True, slots=True)
class Hello:
    """Which connection this is. `network` is the number of its network namespace: the same
    address in another one is another place."""

    worker: UInt64
    remote_host: str
    remote_port: UInt32
    local_host: str
    local_port: UInt32
    network: UInt64
    is_logged_in: bool

    @property
    def peers(self) -> Peers:
        """Both ends: of the newest path."""
        return Peers((self.remote_host, self.remote_port), (self.local_host, self.local_port))


HELLO = Registry(Hello)


def own_network() -> int:
    """The number of this process's network namespace; 0 where there is no such thing."""
    try:
        return os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116
    except OSError:
        return 0


class ListenerLink:
    """For one monitor. `report` leads to the listener that made the connection, `relay` is the
    copy of its end. `folder` is where the next one looks; empty for nowhere."""

    def __init__(self, number: int, peers: Peers, report: socket.socket, relay: socket.socket,
                 folder: str) -> None:
        self._number = number
        self._remote, self._local = peers.remote, peers.local
        self._report = report
        self._relay = relay
        self._folder = folder
        self._name = f"{number:x}.{os.getpid()}"
        self._asked = 0
        self.is_logged_in = False
        self.door: socket.socket | None = None
        """Where the next listener knocks; to be watched."""

    def open_door(self) -> None:
        """Be there for the next listener. Without a place for that the connection still lives on,
        but its client cannot move then."""
        if not self._folder:
            return
        try:
            self.door = run_directory.bind_socket(self._folder, self._name)
        except OSError as error:
            _log.error("no listener but this will find connection %d: %s",
                       self._number, error.strerror)  # fmt: skip

    def close(self) -> None:
        """Nobody needs to look for this connection any more."""
        if self.door is not None:
            self.door.close()
            with contextlib.suppress(OSError):
                os.unlink(f"{self._folder}/{self._name}")  # noqa: PTH108

    def tell(self, news: bytes) -> None:
        """One message to the listener; lost if there is none. Empty: nothing is to be told."""
        if not news:
            return
        if news == LOGGED_IN:
            self.is_logged_in = True
        with contextlib.suppress(OSError):
            self._report.send(news, socket.MSG_DONTWAIT)

    def connect(self, host: str, port: int) -> socket.socket | None:
        """A socket of the listener's, connected to the address; None if it gives none. Waits for
        a moment."""
        self._asked = (self._asked + 1) & 0xFFFFFFFF
        number = self._asked.to_bytes(4, "big")
        try:
            question = CONNECT + encode_relayed(number, (host, port))
            self._report.send(question, socket.MSG_DONTWAIT)
            sock = self._take_answer(ANSWER + number)
        except (OSError, OverflowError, ValueError):
            return None
        if sock is not None:
            self._remote = (host, port)
        return sock

    def _take_answer(self, wanted: bytes) -> socket.socket | None:
        """The socket that comes with this answer. One that comes too late belongs to a question
        that was given up: it is connected to another address. Raises OSError."""
        end = time.monotonic() + PATIENCE
        while select.select([self._report], [], [], max(0.0, end - time.monotonic()))[0]:
            told, descriptors = receive_with(self._report, 16, 1)
            sock = socket.socket(fileno=descriptors[0]) if descriptors else None
            if told in (wanted, b""):
                return sock
            if sock is not None:
                sock.close()
        return None

    # ------------------------------------------------------------ the next listener

    def greet(self) -> socket.socket | None:
        """Somebody is at the door: who, to be watched; None if it is nobody."""
        assert self.door is not None
        try:
            caller, _ = self.door.accept()
        except OSError:
            return None
        caller.setblocking(False)
        try:
            if run_directory.is_own_user(caller):
                hello = Hello(self._number, *self._remote, *self._local, own_network(),
                              self.is_logged_in)  # fmt: skip
                caller.send(encode(hello))
                return caller
        except OSError:
            pass
        caller.close()
        return None

    def answer(self, caller: socket.socket) -> None:
        """What a caller has to say: ADOPT, or that it has gone. It is closed or taken over."""
        try:
            told = caller.recv(16)
            if told == ADOPT:
                socket.send_fds(caller, [RELAY], [self._relay.fileno()])
                self._report.close()
                caller.setblocking(True)
                self._report = caller
                if self.is_logged_in:  # perhaps only since we said who we are
                    self.tell(LOGGED_IN)
                return
        except OSError:
            pass
        caller.close()


def serve_door(link: ListenerLink, watch: Callable[[socket.socket, Callable[[], None]], None],
               forget: Callable[[socket.socket], None]) -> None:
    """Have a monitor's loop see to the door. `watch` and `forget` are the loop's."""
    link.open_door()
    if link.door is None:
        return

    def greet() -> None:
        caller = link.greet()
        if caller is not None:
            watch(caller, lambda: answer(caller))

    def answer(caller: socket.socket) -> None:
        forget(caller)
        link.answer(caller)

    watch(link.door, greet)

