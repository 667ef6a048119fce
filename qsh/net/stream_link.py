"""A link over a byte stream: QUIC packets with a length, where datagrams cannot go.

The stream is a socket of this machine's: to a ProxyCommand, or to whoever holds the TLS connection
to the server. It loses nothing and puts nothing out of order; when it ends the link is of no use.
"""

import asyncio
import errno
import socket
from collections import deque

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.net.offload import ETHERNET_PAYLOAD
from qsh.net.udp import (
    DatagramLink,
    DatagramReceiver,
    LinkEndedError,
    StreamBased,
    UdpLink,
)
from qsh.quic.engine import Transmit
from qsh.quic.events import Address
from qsh.wire.packet_frames import PacketReader, encode_packets

_log = logger("stream")

READ_SIZE = 256 * 1024
MAX_WAITING = 256 * 1024
"""Bytes that may wait for the stream; then the link takes no more until half of it has gone."""

SSH_GREETING = b"SSH-"
"""RFC 4253 section 4.2. As a length it would be a packet larger than any of QUIC's here."""


class StreamLink(StreamBased):
    """Packets over a connected, non-blocking stream socket, which it owns. `local` and `remote`
    are what the two ends are called; `what` names the stream to the user."""

    def __init__(self, sock: socket.socket, local: Address, remote: Address,
                 what: str = "the stream") -> None:
        if sock.getblocking():
            sock.setblocking(False)
        self._socket = sock
        self._local = local
        self._remote = remote
        self._what = what
        self._loop = asyncio.get_running_loop()
        self._receiver: DatagramReceiver | None = None
        self._reader = PacketReader()
        self._waiting: deque[bytes] = deque()
        self._queued = 0
        self._is_full = False
        self._is_closed = False
        self._has_begun = False
        self.leads_to_ssh = False
        """Whether an SSH server has greeted us: its kind speaks first."""

    @property
    def local(self) -> Address:
        """Our end."""
        return self._local

    @property
    def remote(self) -> Address | None:
        """The other end."""
        return self._remote

    @property
    def largest_payload(self) -> int:
        """Ethernet's: what comes after this link is not known."""
        return ETHERNET_PAYLOAD

    @property
    def is_writable(self) -> bool:
        """False while too much waits."""
        return not self._is_full

    def start(self, receiver: DatagramReceiver) -> None:
        """Begin to read."""
        self._receiver = receiver
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        """Close the stream. A last attempt is made to send what waits."""
        if self._is_closed:
            return
        self._send_waiting()
        self._is_closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()

    # ------------------------------------------------------------ receiving

    def _readable(self) -> None:
        receiver = self._receiver
        assert receiver is not None
        try:
            data = self._socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error.strerror or str(error))
            return
        if not data:
            self._end("it was closed")
            return
        if not self._has_begun and data.startswith(SSH_GREETING):
            self.leads_to_ssh = True
            self._end("an SSH server is at its other end, and no qshd")
            return
        self._has_begun = True
        try:
            packets = self._reader.receive(data)
        except DecodeError as error:
            self._end(str(error))
            return
        for packet in packets:
            receiver.receive_datagrams(packet, len(packet), self._remote)
        if packets and not self._is_closed:
            receiver.batch_ended()

    def _end(self, reason: str) -> None:
        self._loop.remove_reader(self._socket.fileno())
        _log.debug1("%s is over: %s", self._what, reason)
        if self._receiver is not None and not self._is_closed:
            text = f"{self._what} is over: {reason}"
            self._receiver.link_failed(LinkEndedError(errno.ECONNRESET, text))

    # ------------------------------------------------------------ sending

    def send(self, transmits: list[Transmit]) -> None:
        """Send, or keep until there is room."""
        if self._is_closed:
            return
        was_idle = not self._waiting
        for transmit in transmits:
            frames = encode_packets(transmit.data, transmit.segment_size)
            self._waiting.append(frames)
            self._queued += len(frames)
        if was_idle and not self._send_waiting():
            self._loop.add_writer(self._socket.fileno(), self._writable)
        self._is_full = self._queued > MAX_WAITING

    def _send_waiting(self) -> bool:
        """Whether nothing waits any more."""
        while self._waiting:
            data = self._waiting[0]
            try:
                count = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:  # reading tells about it
                self._waiting.clear()
                self._queued = 0
                return True
            self._queued -= count
            if count < len(data):
                self._waiting[0] = data[count:]
                return False
            self._waiting.popleft()
        return True

    def _writable(self) -> None:
        if self._send_waiting():
            self._loop.remove_writer(self._socket.fileno())
        if self._is_full and self._queued <= MAX_WAITING // 2:
            self._is_full = False
            if self._receiver is not None:
                self._receiver.link_writable()


def link_on(sock: socket.socket, remote: Address) -> DatagramLink:
    """A server's link to a client at `remote`: connected UDP, or a Unix stream of packets with
    their lengths. It owns the socket."""
    if sock.family == socket.AF_UNIX:
        return StreamLink(sock, ("", 0), remote, "the client's stream")
    return UdpLink(sock)
