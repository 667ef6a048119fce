"""One UDP socket under a driver: batches in, batches out, nothing per packet.

`DatagramLink` is what a driver needs of the network; `UdpLink` is the real one, and the tests
have a simulated one. A link is no part of any protocol: it neither reads nor changes datagrams.
"""

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from qsh.log import logger
from qsh.net import offload
from qsh.quic.engine import Transmit
from qsh.quic.events import Address

_log = logger("udp")

READ_SIZE = 65535
"""Bytes of one receive call: the most that GRO hands over."""
READS_PER_TURN = 16
"""Receive calls before the loop gets to others: about a megabyte with GRO."""
_MAPPED = "::ffff:"
_GSO_ERRORS = (errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EMSGSIZE)
"""Reasons for which the kernel may refuse to cut a buffer: no checksum offload, a segment larger
than the interface's MTU, no support after all."""
_WOULD_BLOCK = (BlockingIOError, InterruptedError)


class LinkEndedError(ConnectionResetError):
    """A link that is over for good, since what carries it is."""


class DatagramReceiver(Protocol):
    """Who is told what a link has; none of these may raise."""

    def receive_datagrams(self, data: bytes, segment_size: int, remote: Address) -> None:
        """A run of datagrams from one address, `segment_size` bytes each (the last may be
        shorter)."""

    def batch_ended(self) -> None:
        """All that was there has been handed over: time to act on it."""

    def link_writable(self) -> None:
        """The link takes datagrams again."""

    def link_failed(self, error: OSError) -> None:
        """The network refused something. The link stays in use: it may be passing."""


class DatagramLink(Protocol):
    """One local address, and normally one remote one."""

    @property
    def local(self) -> Address:
        """Where we are."""

    @property
    def remote(self) -> Address | None:
        """Where the peer is; None when each Transmit tells."""

    @property
    def largest_payload(self) -> int:
        """Bytes of the largest datagram that this end of the path takes."""

    @property
    def is_writable(self) -> bool:
        """False while datagrams wait for room: build no more until `link_writable`."""

    def start(self, receiver: DatagramReceiver) -> None:
        """Hand over what arrives, from now on."""

    def send(self, transmits: list[Transmit]) -> None:
        """Send, or keep until there is room. What the network refuses is lost, as on any path."""

    def close(self) -> None:
        """Stop. Nothing is handed over after it."""


@dataclass(slots=True)
class LinkCounters:
    """How well system calls are used."""

    datagrams_sent: int = 0
    send_calls: int = 0
    datagrams_received: int = 0
    receive_calls: int = 0
    refused: int = 0
    """Datagrams that the system did not take."""
    strays: int = 0
    """Datagrams from others than the connected peer."""


class StreamBased:
    """Marks links that ride on a stream instead of UDP."""


def plain_address(sockaddr: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """Host and port of a socket address: no scope, and IPv4 in its own notation."""
    host = sockaddr[0]
    if host.startswith(_MAPPED) and "." in host:
        host = host[len(_MAPPED) :]
    return host.partition("%")[0], sockaddr[1]


def set_traffic_class(sock: socket.socket, value: int) -> None:
    """Mark all packets of a socket. What the system refuses is left as it is: no mark is worth
    a connection."""
    with suppress(OSError):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value)


class UdpLink:
    """A socket on the running loop. Owns the socket.

    `on_stray` gets datagrams that others sent before the socket was connected; without it they
    are dropped.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_stray: Callable[[bytes, Address], None] | None = None,
    ) -> None:
        # A sandboxed process may not change a socket's mode: it must come non-blocking.
        if sock.getblocking():
            sock.setblocking(False)
        self.counters = LinkCounters()
        self._socket = sock
        self._on_stray = on_stray
        self._offload = offload.prepare(sock)
        self._loop = asyncio.get_running_loop()
        self._receiver: DatagramReceiver | None = None
        self._waiting: deque[Transmit] = deque()
        self._closed = False
        self._local = plain_address(sock.getsockname())
        self._peer: tuple[str, int] | tuple[str, int, int, int] | None = None
        with suppress(OSError):  # not connected
            self._peer = sock.getpeername()
        self._remote = plain_address(self._peer) if self._peer else None

    @property
    def local(self) -> Address:
        """The address the socket is bound to."""
        return self._local

    @property
    def remote(self) -> Address | None:
        """The address the socket is connected to."""
        return self._remote

    @property
    def largest_payload(self) -> int:
        """Bytes of the largest datagram that this machine sends there."""
        return offload.largest_payload(self._socket)

    def mark(self, traffic_class: int) -> None:
        """IPQoS, from now on."""
        set_traffic_class(self._socket, traffic_class)

    @property
    def is_writable(self) -> bool:
        """False while datagrams wait for room in the socket."""
        return not self._waiting

    def start(self, receiver: DatagramReceiver) -> None:
        """Begin to read."""
        self._receiver = receiver
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        """Close the socket. A last attempt is made to send what waits."""
        if self._closed:
            return
        for transmit in self._waiting:
            self._send_run(transmit)
        self._waiting.clear()
        self._closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()

    def tell_counters(self) -> None:
        """Log how well system calls were used."""
        counters = self.counters
        _log.debug2("%d datagrams sent in %d calls", counters.datagrams_sent, counters.send_calls)
        _log.debug2("%d datagrams received in %d calls",
                    counters.datagrams_received, counters.receive_calls)  # fmt: skip

    # receiving

    def _readable(self) -> None:
        receiver = self._receiver
        assert receiver is not None
        for _ in range(READS_PER_TURN):
            if self._closed:
                return
            try:
                data, control, _flags, source = self._socket.recvmsg(READ_SIZE, offload.GRO_SPACE)
            except _WOULD_BLOCK:
                break
            except OSError as error:
                receiver.link_failed(error)
                continue
            self._hand_over(receiver, data, control, source)
        receiver.batch_ended()

    def _hand_over(
        self,
        receiver: DatagramReceiver,
        data: bytes,
        control: list[tuple[int, int, bytes]],
        source: tuple[str, int],
    ) -> None:
        size = offload.segment_size(control, len(data)) if control else len(data)
        if not size:
            return
        counters = self.counters
        counters.receive_calls += 1
        counters.datagrams_received += -(-len(data) // size)
        remote = self._remote
        if remote is None or (source != self._peer and plain_address(source) != remote):
            found = plain_address(source)
            if remote is not None:
                self._stray(data, size, found)
                return
            remote = found
        receiver.receive_datagrams(data, size, remote)

    def _stray(self, data: bytes, size: int, source: Address) -> None:
        self.counters.strays += 1
        if self._on_stray is not None:
            for datagram in offload.split(data, size):
                self._on_stray(datagram, source)

    # sending

    def send(self, transmits: list[Transmit]) -> None:
        """Send at once what the socket takes; the rest goes when it has room."""
        if self._closed:
            return
        if self._waiting:
            self._waiting.extend(transmits)
            return
        for index, transmit in enumerate(transmits):
            rest = self._send_run(transmit)
            if rest is not None:
                self._waiting.append(rest)
                self._waiting.extend(transmits[index + 1 :])
                self._loop.add_writer(self._socket.fileno(), self._writable)
                return

    def _writable(self) -> None:
        while self._waiting:
            rest = self._send_run(self._waiting[0])
            if rest is not None:
                self._waiting[0] = rest
                return
            self._waiting.popleft()
        self._loop.remove_writer(self._socket.fileno())
        if self._receiver is not None:
            self._receiver.link_writable()

    def _send_run(self, transmit: Transmit) -> Transmit | None:
        """What could not be sent for want of room."""
        size = transmit.segment_size
        if len(transmit.data) <= size:
            sent = self._call(transmit.data, 1, [], transmit.remote)
            return None if sent else transmit
        if not self._offload.gso:
            return self._send_singly(transmit)
        count = -(-len(transmit.data) // size)
        try:
            self._call_raw(transmit.data, count, offload.segment_control(size), transmit.remote)
        except _WOULD_BLOCK:
            return transmit
        except OSError as error:
            if error.errno in _GSO_ERRORS:
                return self._send_without_gso(transmit, error)
            self._refused(error, count)
        return None

    def _send_without_gso(self, transmit: Transmit, error: OSError) -> Transmit | None:
        # If the datagrams go one by one the kernel's cutting is at fault, else they are too large.
        before = self.counters.refused
        rest = self._send_singly(transmit)
        if self.counters.refused == before:
            _log.debug1("no segmentation offload here (%s): one datagram per call", error.strerror)
            self._offload = offload.Offload(gso=False, gro=self._offload.gro)
        return rest

    def _send_singly(self, transmit: Transmit) -> Transmit | None:
        size, data = transmit.segment_size, transmit.data
        for start in range(0, len(data), size):
            if not self._call(data[start : start + size], 1, [], transmit.remote):
                return Transmit(data[start:], size, transmit.remote)
        return None

    def _call(
        self, data: bytes, count: int, control: list[tuple[int, int, bytes]], remote: Address
    ) -> bool:
        """False if there is no room. Other errors lose the datagram."""
        try:
            self._call_raw(data, count, control, remote)
        except _WOULD_BLOCK:
            return False
        except OSError as error:
            self._refused(error, count)
        return True

    def _call_raw(
        self, data: bytes, count: int, control: list[tuple[int, int, bytes]], remote: Address
    ) -> None:
        try:
            self._sendmsg(data, control, remote)
        except ConnectionRefusedError as error:
            # The answer to an earlier datagram; reporting it used up this call.
            self._refused(error, 0)
            self._sendmsg(data, control, remote)
        self.counters.send_calls += 1
        self.counters.datagrams_sent += count

    def _sendmsg(self, data: bytes, control: list[tuple[int, int, bytes]], remote: Address) -> None:
        if remote == self._remote:
            self._socket.sendmsg([data], control)
        else:
            self._socket.sendmsg([data], control, 0, self._sockaddr(remote))

    def _sockaddr(self, remote: Address) -> Address:
        host, port = remote
        if self._socket.family == socket.AF_INET6 and ":" not in host:
            host = _MAPPED + host
        return host, port

    def _refused(self, error: OSError, count: int) -> None:
        self.counters.refused += count
        # EMSGSIZE answers a probe of the path's MTU; ENOBUFS is a full queue: both mean loss.
        if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS) and self._receiver is not None:
            self._receiver.link_failed(error)


def open_link(
    remote: tuple[str, int] | tuple[str, int, int, int],
    family: int,
    bind_address: str | None = None,
) -> UdpLink:
    """A link on a new socket; see `open_socket`."""
    return UdpLink(open_socket(remote, family, bind_address))


def open_socket(
    remote: tuple[str, int] | tuple[str, int, int, int],
    family: int,
    bind_address: str | None = None,
) -> socket.socket:
    """A new socket, connected to `remote` (as getaddrinfo gives it), from any port of
    `bind_address`. Raises OSError if there is no way there."""
    sock = socket.socket(family, socket.SOCK_DGRAM | getattr(socket, "SOCK_NONBLOCK", 0))
    try:
        if bind_address is not None:
            sock.bind((bind_address, 0))
        sock.connect(remote)
    except BaseException:
        sock.close()
        raise
    return sock
