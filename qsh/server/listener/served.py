"""What the listener knows of each connection that it serves."""

import socket
from dataclasses import dataclass, field

from qsh.quic.events import Address
from qsh.server.listener.detours import Detours
from qsh.server.monitor.messages import MAX_MESSAGE

Path = tuple[Address, Address]
"""The client's address and ours."""


@dataclass(slots=True)
class Served:
    """One connection, as the listener knows it."""

    number: int
    relay: socket.socket
    report: socket.socket
    path: Path
    """Of the worker's newest socket."""
    first: tuple[Address, bytes] | None = None
    """The client's address and the ID it made up, which its first flight carries; None for a
    connection that an earlier listener made."""
    detours: Detours = field(default_factory=Detours)
    is_worker_alive: bool = True
    is_logged_in: bool = False
    is_real: bool = False
    """Whether the client has shown by a Retry, or its login, that it receives at its address."""


def socket_pair(buffer: int = 0) -> tuple[socket.socket, socket.socket]:
    """Ours, which never blocks, and the other's."""
    ours, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    if buffer:
        others.setblocking(False)
        for sock in (ours, others):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    return ours, others


def request_pair() -> tuple[socket.socket, socket.socket]:
    """The monitor's and the worker's end for requests and replies; both block."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in pair:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_MESSAGE)
    return pair


def first_number(now: float) -> int:
    """The first worker's number of a listener that starts `now` (seconds since 1970).

    No earlier one has used it, as long as none made a million connections a second. The twelve
    bits above stay 0, so that of the numbers read out of strangers' random IDs hardly one passes
    for an old worker's.
    """
    return int(now * 1024) << 10
