"""A link over TLS on TCP, for networks that let no UDP through: QUIC packets with their lengths.

TLS is there for the way, not for secrecy: its SNI lets proxies route, and boxes that expect it let
it pass. It proves nothing; the QUIC connection inside proves the host as on any other path.
"""

import asyncio
import errno
import socket
import ssl
from typing import cast

from qsh.errors import DecodeError
from qsh.net.endpoint import Endpoint
from qsh.net.offload import ETHERNET_PAYLOAD
from qsh.net.udp import DatagramReceiver, LinkEndedError, StreamBased, plain_address
from qsh.quic.engine import ALPN, Transmit
from qsh.quic.events import Address
from qsh.wire.packet_frames import PacketReader, encode_packets

WHAT = "the stream to the server"


class TlsLink(asyncio.Protocol, StreamBased):
    """Packets over one TLS connection; a DatagramLink once it is connected."""

    def __init__(self, remote: Address, local: Address | None = None) -> None:
        self._remote = remote
        self._local = local
        self._transport: asyncio.Transport | None = None
        self._receiver: DatagramReceiver | None = None
        self._reader = PacketReader()
        self._is_full = False
        self._is_closed = False
        self._end = ""

    @property
    def local(self) -> Address:
        """Our address of the TCP connection, or what it is called where that is not ours."""
        if self._local is not None:
            return self._local
        assert self._transport is not None
        return plain_address(self._transport.get_extra_info("sockname"))

    @property
    def remote(self) -> Address | None:
        """The server's."""
        return self._remote

    @property
    def largest_payload(self) -> int:
        """Ethernet's: the path may become UDP again at any time."""
        return ETHERNET_PAYLOAD

    @property
    def is_writable(self) -> bool:
        """False while TCP takes nothing."""
        return not self._is_full

    def start(self, receiver: DatagramReceiver) -> None:
        """Begin to read."""
        self._receiver = receiver
        assert self._transport is not None
        self._transport.resume_reading()
        if self._end:
            asyncio.get_running_loop().call_soon(self._tell_end)

    def send(self, transmits: list[Transmit]) -> None:
        """Send, or keep until there is room."""
        if self._transport is not None and not self._is_closed:
            for transmit in transmits:
                self._transport.write(encode_packets(transmit.data, transmit.segment_size))

    def close(self) -> None:
        """Close the connection, after what was sent."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Some of the stream."""
        receiver = self._receiver
        if receiver is None or self._is_closed:
            return
        try:
            packets = self._reader.receive(data)
        except DecodeError as error:
            self._is_closed = True
            self._fail(str(error))
            return
        for packet in packets:
            receiver.receive_datagrams(packet, len(packet), self._remote)
        if packets:
            receiver.batch_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream is over."""
        if not self._is_closed:
            self._is_closed = True
            self._fail(str(exc) if exc else "it was closed")

    def pause_writing(self) -> None:
        """TCP is full."""
        self._is_full = True

    def resume_writing(self) -> None:
        """TCP takes more."""
        self._is_full = False
        if self._receiver is not None:
            self._receiver.link_writable()

    def _fail(self, reason: str) -> None:
        self._end = f"{WHAT} is over: {reason}"
        self._tell_end()

    def _tell_end(self) -> None:
        if self._receiver is not None:
            self._receiver.link_failed(LinkEndedError(errno.ECONNRESET, self._end))


async def open_tls(endpoint: Endpoint, port: int, server_name: str,
                   bind_address: str | None = None) -> TlsLink:
    """A link to the TCP port of this address. Raises OSError, also where something else than a
    server of ours answers."""
    host = endpoint.sockaddr[0]
    remote = plain_address(endpoint.sockaddr)
    transport, link = await asyncio.get_running_loop().create_connection(
        lambda: TlsLink(remote), host, port, ssl=_context(), server_hostname=server_name or host,
        family=endpoint.family, local_addr=(bind_address, 0) if bind_address else None,
    )  # fmt: skip
    return _checked(transport, link)


async def open_tls_on(sock: socket.socket, server_name: str, local: Address,
                      remote: Address) -> TlsLink:
    """The same on a stream that leads there already, whose ends are called so. Raises OSError."""
    sock.setblocking(False)
    transport, link = await asyncio.get_running_loop().create_connection(
        lambda: TlsLink(remote, local), sock=sock, ssl=_context(), server_hostname=server_name,
    )  # fmt: skip
    return _checked(transport, link)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    return context


def _checked(transport: asyncio.Transport, link: TlsLink) -> TlsLink:
    if transport.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
        transport.abort()
        raise OSError(errno.ECONNRESET, "something else than qshd listens there")
    return link
