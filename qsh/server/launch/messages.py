"""What the listener says to the two processes that fork for it. Data only.

One message per packet of a SOCK_SEQPACKET socket pair, with RFC 4251 types; the descriptors named
below come with it. There are no answers: who dies in between is noticed by the sockets' ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qsh.errors import DecodeError
from qsh.quic.events import Address
from qsh.server.accounts.environment import Peers
from qsh.wire.codec import Reader, Registry, Rest, UInt32, UInt64, Writer, encode, message

MAX_EARLY = 64 * 1024
"""Bytes of a first flight that a worker is born with; the rest is sent again by the client."""
MAX_MESSAGE = MAX_EARLY + 4096


@message(1)
@dataclass(frozen=True, slots=True)
class StartWorker:
    """To the zygote, with three descriptors: the socket connected to the client, the worker's end
    of its relay (server.relay), and of the socket to its monitor. `delay_secret` is
    ServerKeys.delay_secret(); `retry_source` is empty without a Retry; `datagrams` are strings."""

    worker: UInt64
    remote_host: str
    remote_port: UInt32
    local_host: str
    local_port: UInt32
    original_destination: bytes
    retry_source: bytes
    delay_secret: bytes
    datagrams: Rest

    @property
    def peers(self) -> Peers:
        """Both ends."""
        return Peers((self.remote_host, self.remote_port), (self.local_host, self.local_port))

    def early(self) -> tuple[bytes, ...]:
        """The datagrams. Raises DecodeError."""
        reader, found = Reader(self.datagrams), []
        while not reader.at_end:
            found.append(reader.string())
        return tuple(found)


@message(2)
@dataclass(frozen=True, slots=True)
class StartMonitor:
    """To the launcher, with three descriptors: the socket to the worker, the monitor's end of the
    one to the listener, and a copy of the listener's end of the worker's relay, for the next
    listener."""

    worker: UInt64
    remote_host: str
    remote_port: UInt32
    local_host: str
    local_port: UInt32
    original_destination: Rest

    @property
    def peers(self) -> Peers:
        """Both ends."""
        return Peers((self.remote_host, self.remote_port), (self.local_host, self.local_port))


@message(3)
@dataclass(frozen=True, slots=True)
class Born:
    """From a worker to its monitor, its first word, said before it has heard any: with a
    descriptor of its process (pidfd_open(2))."""


REQUESTS = Registry(StartWorker, StartMonitor)
BIRTH = Registry(Born)


def start_worker(number: int, remote: Address, local: Address, original_destination: bytes,
                 retry_source: bytes | None, delay_secret: bytes, datagrams: Iterable[bytes]
                 ) -> bytes:  # fmt: skip
    """The message for a new connection's worker."""
    writer, room = Writer(), MAX_EARLY
    for datagram in datagrams:
        room -= len(datagram) + 4
        if room < 0:
            break
        writer.string(datagram)
    return encode(StartWorker(
        number, *remote, *local, original_destination, retry_source or b"", delay_secret,
        writer.finish(),
    ))  # fmt: skip


def start_monitor(
    number: int, remote: Address, local: Address, original_destination: bytes
) -> bytes:
    """The message for its monitor."""
    return encode(StartMonitor(number, *remote, *local, original_destination))


def decode(data: bytes) -> StartWorker | StartMonitor:
    """Either message. Raises DecodeError."""
    found = REQUESTS.decode(data)
    if not isinstance(found, StartWorker | StartMonitor):
        raise DecodeError("no message to start a process")
    return found
