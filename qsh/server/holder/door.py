"""The door of a holder: a socket in the run directory by which monitors bring later workers.

    monitor ── one request per packet ── door of the holder

The monitor has checked the login and the session before it knocks. The holder is the user's
process and lets in only who started it: root, or without root the user. Neither side waits long
for the other.
"""

import contextlib
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass

from qsh.errors import DecodeError
from qsh.server.descriptors import receive_with
from qsh.server.run_directory import BACKLOG, connect_socket, peer_pid
from qsh.wire.codec import Registry, UInt32, encode, message

PATIENCE = 1.0
"""Seconds for a holder to answer."""
MAX_PACKET = 4096
MOST_KNOCKS = 256
"""At once: descriptors are few."""
_UCRED = struct.Struct("=iII")


@message(1)
@dataclass(frozen=True, slots=True)
class Join:
    """With one descriptor: the socket to a worker (server.attach)."""


@message(2)
@dataclass(frozen=True, slots=True)
class Describe:
    """How are things?"""


@message(3)
@dataclass(frozen=True, slots=True)
class End:
    """Hang up."""


@message(101)
@dataclass(frozen=True, slots=True)
class Described:
    """To Describe. `origins` are the attached clients' addresses, comma-separated; `alone` the
    seconds without any."""

    has_ended: bool
    origins: str
    alone: UInt32


KNOCKS = Registry(Join, Describe, End)
ANSWERS = Registry(Described)


class Door:
    """The holder's side. `listening` is non-blocking; `master` the user ID that may come in."""

    def __init__(self, listening: socket.socket, master: int) -> None:
        self.socket = listening
        self._master = master

    def claim(self) -> None:
        """Say that this process answers here: whoever knocks learns its number from the kernel
        (unix(7), SO_PEERCRED: that of the last listen(2)). Before it becomes the user."""
        self.socket.listen(BACKLOG)

    def answer(self, knock: socket.socket) -> tuple[object, socket.socket | None]:
        """What a visitor wants (None for nothing good), and the descriptor it brought."""
        knock.settimeout(PATIENCE)
        with contextlib.suppress(OSError, DecodeError):
            if not self._is_master(knock):
                return None, None
            data, descriptors = receive_with(knock, MAX_PACKET, 1)
            brought = socket.socket(fileno=descriptors[0]) if descriptors else None
            return (KNOCKS.decode(data) if data else None), brought
        return None, None

    def accept(self) -> socket.socket | None:
        """The next visitor."""
        try:
            return self.socket.accept()[0]
        except OSError:
            return None

    def _is_master(self, knock: socket.socket) -> bool:
        raw = knock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return bool(_UCRED.unpack(raw)[1] == self._master)


def join(folder: str, name: str) -> socket.socket:
    """At the monitor: a socket to that holder for a worker. Raises OSError."""
    workers, holders = socket.socketpair()
    try:
        with _knock(folder, name) as door, holders:
            socket.send_fds(door, [encode(Join())], [holders.fileno()])
    except BaseException:
        workers.close()
        raise
    return workers


@dataclass(frozen=True, slots=True)
class Found:
    """Who is behind a door: the holder's process ID, 0 if it is too busy for that; and what it says
    of itself, None if it did not in time."""

    pid: int
    described: Described | None


def describe_all(folder: str, names: Iterable[str], patience: float = PATIENCE
                 ) -> dict[str, Found]:  # fmt: skip
    """At the monitor: how these sessions are; nothing of those that nobody holds any more. All are
    asked at once, so that those that were stopped cost one `patience` in all."""
    found: dict[str, Found] = {}
    deadline = time.monotonic() + patience
    left = list(names)
    while left:
        batch, left = left[:MOST_KNOCKS], left[MOST_KNOCKS:]
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as waiting:
            for name in batch:
                with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                    found[name] = _ask(folder, name, stack, waiting)
            _gather(waiting, found, deadline)
    return found


def _ask(folder: str, name: str, stack: contextlib.ExitStack,
         waiting: selectors.BaseSelector) -> Found:  # fmt: skip
    """Raises ConnectionRefusedError, FileNotFoundError if there is nobody."""
    try:
        door = stack.enter_context(connect_socket(folder, name, may_wait=False))
        door.send(encode(Describe()))
    except (ConnectionRefusedError, FileNotFoundError):
        raise
    except OSError:
        return Found(0, None)
    waiting.register(door, selectors.EVENT_READ, name)
    return Found(peer_pid(door), None)


def _gather(waiting: selectors.BaseSelector, found: dict[str, Found], deadline: float) -> None:
    while waiting.get_map():
        ready = waiting.select(max(0.0, deadline - time.monotonic()))
        if not ready:
            return
        for key, _ in ready:
            door = key.fileobj
            assert isinstance(door, socket.socket)
            waiting.unregister(door)
            with contextlib.suppress(OSError, DecodeError):
                described = ANSWERS.decode(door.recv(MAX_PACKET))
                assert isinstance(described, Described)
                found[key.data] = Found(found[key.data].pid, described)


def end(folder: str, name: str) -> None:
    """At the monitor: have that session hang up. Raises OSError."""
    with _knock(folder, name) as door:
        door.send(encode(End()))


def _knock(folder: str, name: str) -> socket.socket:
    door = connect_socket(folder, name)
    door.settimeout(PATIENCE)
    return door


def own_uid() -> int:
    """Who may come in by the doors of holders that this process starts."""
    return os.geteuid()
