"""Where a worker's client was lately seen beside its own socket, and how much may be answered.

A client that moved is heard through the listener, and answered through it, until it has a socket
of its own again. A worker, perhaps in a stranger's hands, may answer nobody but those who sent it
something, and little more than three times as much (RFC 9000 section 8). Pure.
"""

import socket
from dataclasses import dataclass

from qsh.quic.events import Address
from qsh.server.listener.udp_sockets import Received, SocketAddress

MAX_DETOURS = 4
"""Addresses per worker: those seen last."""
AMPLIFICATION = 3
FIRST_CREDIT = 3 * 1200
"""Bytes that may be sent to a new address in any case: what proves a path is padded to 1200 bytes
(section 8.2.1), though the client's first packet on it may be small."""


@dataclass(slots=True)
class Detour:
    """One address of a client's: by which socket and to which address of ours it came."""

    sock: socket.socket
    remote: SocketAddress
    local: SocketAddress
    credit: int = FIRST_CREDIT
    """Bytes that may still be sent there."""


class Detours:
    """Those of one worker."""

    def __init__(self) -> None:
        self._detours: dict[Address, Detour] = {}

    def seen(self, sock: socket.socket, received: Received) -> None:
        """A datagram was relayed to the worker."""
        address = received.remote_address
        detour = self._detours.pop(address, None)
        if detour is None or (detour.sock, detour.local) != (sock, received.local):
            detour = Detour(sock, received.remote, received.local)
        detour.credit += AMPLIFICATION * len(received.data)
        self._detours[address] = detour
        if len(self._detours) > MAX_DETOURS:
            del self._detours[next(iter(self._detours))]

    def find(self, remote: Address) -> Detour | None:
        """The detour to that address, if there is one."""
        return self._detours.get(remote)

    def forget(self, remote: Address) -> None:
        """That address needs none any more."""
        self._detours.pop(remote, None)

    def spend(self, remote: Address, count: int) -> Detour | None:
        """The same, if so many bytes may be sent there; they count as sent."""
        detour = self._detours.get(remote)
        if detour is None or detour.credit < count:
            return None
        detour.credit -= count
        return detour
