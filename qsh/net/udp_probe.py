"""Does UDP reach a server, and its answer us? Asked without touching any connection.

A packet of a version that nobody speaks: every QUIC server answers it with Version Negotiation
(RFC 9000 section 6.1), which costs it nothing and keeps no state.
"""

import asyncio
import os

from qsh.net.udp import DatagramLink
from qsh.quic.engine import Transmit
from qsh.quic.events import Address

TRIES, EACH_SECONDS = 3, 1.0
SIZE = 1200
"""Smaller ones are not answered (RFC 9000 section 14.1)."""
_VERSION = 0x1A2A3A4A
"""Reserved for this (RFC 9000 section 15)."""
_ID_LENGTH = 8
_LONG_HEADER = 0xC0


def question(destination: bytes, source: bytes) -> bytes:
    """The packet. The connection IDs come back in its answer, exchanged."""
    head = b"".join((
        bytes((_LONG_HEADER,)), _VERSION.to_bytes(4, "big"),
        bytes((len(destination),)), destination, bytes((len(source),)), source,
    ))  # fmt: skip
    return head + bytes(SIZE - len(head))


def is_answer(packet: bytes, destination: bytes, source: bytes) -> bool:
    """Whether this is Version Negotiation for that question (RFC 8999 section 6)."""
    wanted = b"".join((
        bytes(4), bytes((len(source),)), source, bytes((len(destination),)), destination,
    ))  # fmt: skip
    return len(packet) > len(wanted) and packet[0] >= 0x80 and packet[1:].startswith(wanted)


class _Ear:
    """Waits for the answer on a link: its DatagramReceiver."""

    def __init__(self, destination: bytes, source: bytes) -> None:
        self._ids = destination, source
        self.heard = asyncio.Event()

    def receive_datagrams(self, data: bytes, segment_size: int, remote: Address) -> None:
        for start in range(0, len(data), segment_size):
            if is_answer(data[start : start + segment_size], *self._ids):
                self.heard.set()

    def batch_ended(self) -> None: ...

    def link_writable(self) -> None: ...

    def link_failed(self, error: OSError) -> None: ...


async def is_answered(link: DatagramLink) -> bool:
    """Ask by a link that is not in use; whether an answer came in time. The link stays open."""
    destination, source = os.urandom(_ID_LENGTH), os.urandom(_ID_LENGTH)
    ear = _Ear(destination, source)
    link.start(ear)
    assert link.remote is not None
    packet = question(destination, source)
    for _ in range(TRIES):
        link.send([Transmit(packet, len(packet), link.remote)])
        try:
            async with asyncio.timeout(EACH_SECONDS):
                await ear.heard.wait()
                return True
        except TimeoutError:
            continue
    return False
