"""The listener's UDP sockets: one per address, and one connected to each new client.

SO_REUSEPORT and never SO_REUSEADDR: the former lets only the same user bind the port again, the
latter anybody, who would then receive our packets. A new client's socket is bound to the address
its packet was sent to, since one bound to a wildcard may answer from another.
"""

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from qsh.config.server_settings import ServerSettings
from qsh.errors import NetworkError
from qsh.quic.events import Address
from qsh.server.listener.udp_table import listening
from qsh.wire.packet_frames import encode_packets

# From <linux/in.h>; Python names it from 3.14 on.
IP_PKTINFO = 8

# Ours.
MAX_DATAGRAM = 65535
RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes: first flights that arrive while we fork must wait, not vanish."""
_CONTROL_SPACE = socket.CMSG_SPACE(64)
_IN_PKTINFO = struct.Struct("=i4s4s")
_IN6_PKTINFO = struct.Struct("=16si")
_LINK_LOCAL = "fe80:"

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Received:
    """A datagram, where it came from, and which address of ours it was sent to; both as the
    system's calls want them."""

    data: bytes
    remote: SocketAddress
    local: SocketAddress

    @property
    def remote_address(self) -> Address:
        """Host and port only."""
        return plain(self.remote)


def plain(address: SocketAddress) -> Address:
    """Host and port, without IPv6's scope."""
    return address[0].partition("%")[0], address[1]


def open_listeners(settings: ServerSettings) -> list[socket.socket]:
    """The sockets of ListenAddress, Port and AddressFamily. Raises NetworkError if an address
    that was asked for cannot be had, or none at all."""
    families = {"inet": (socket.AF_INET,), "inet6": (socket.AF_INET6,)}.get(
        settings.address_family, (socket.AF_INET, socket.AF_INET6)
    )
    sockets: list[socket.socket] = []
    taken = listening()
    try:
        for listen in settings.listen_addresses:
            sockets += _listen(listen.host, listen.port, families, taken)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _listen(
    host: str, port: int, families: tuple[socket.AddressFamily, ...], taken: frozenset[Address]
) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    flags = socket.AI_PASSIVE
    try:
        found = socket.getaddrinfo(host or None, port, 0, socket.SOCK_DGRAM, 0, flags)
    except socket.gaierror as error:
        raise NetworkError(f"bad ListenAddress {host}: {error.strerror}") from None
    failure = f"ListenAddress {host or '*'} has no address of the families asked for"
    for family, _, _, _, name in found:
        if family not in families:
            continue
        # With port 0 both families shall have one and the same port.
        number = sockets[0].getsockname()[1] if sockets and not port else port
        address: SocketAddress = (str(name[0]), number)
        if len(name) == 4:
            address = (str(name[0]), number, 0, int(name[3]))
        if plain(address) in taken:
            raise NetworkError(f"cannot listen on {address[0]} port {number}: Address already in "
                               "use, perhaps by a second qshd")  # fmt: skip
        try:
            sockets.append(open_socket(family, address))
        except OSError as error:
            failure = f"cannot listen on {address[0]} port {address[1]}: {error.strerror}"
            if host or error.errno not in _NO_SUCH_FAMILY:
                raise NetworkError(failure) from None
    if not sockets:
        raise NetworkError(failure)
    return sockets


_NO_SUCH_FAMILY = (97, 99)
"""EAFNOSUPPORT and EADDRNOTAVAIL: a machine without IPv6 listens on IPv4 alone."""


def open_socket(family: int, address: SocketAddress) -> socket.socket:
    """A non-blocking UDP socket bound to `address`, that says where its datagrams were sent to.
    Raises OSError."""
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        prepare(sock)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def prepare(sock: socket.socket) -> None:
    """Give a UDP socket all that we need of it. Raises OSError; NetworkError for one of both
    families at once, whose IPv4 addresses would not be any."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    if sock.family == socket.AF_INET6:
        if not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            raise NetworkError("a socket for IPv4 and IPv6 at once (BindIPv6Only=ipv6-only)")
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def receive(sock: socket.socket, limit: int) -> Iterator[Received]:
    """At most `limit` datagrams that are there."""
    own = sock.getsockname()
    for _ in range(limit):
        try:
            data, control, _, remote = sock.recvmsg(MAX_DATAGRAM, _CONTROL_SPACE)
        except BlockingIOError:
            return
        except OSError:  # an ICMP error for something sent earlier
            continue
        yield Received(data, remote, _destination(control, own) or own)


def connect_to(sock: socket.socket, received: Received) -> tuple[socket.socket, list[Received]]:
    """A socket connected to the sender of a datagram that came to `sock`, from the address it was
    sent to; and what landed in it before it was connected, perhaps from others. Raises OSError."""
    connected = open_socket(sock.family, received.local)
    try:
        connected.connect(received.remote)
        strays = list(receive(connected, 1024))
    except BaseException:
        connected.close()
        raise
    return connected, strays


def send_from(
    sock: socket.socket, data: bytes, local: SocketAddress, remote: SocketAddress
) -> None:
    """Send by a listening socket from that address of ours, or by a client's stream. Raises
    OSError."""
    if sock.family == socket.AF_UNIX:
        sock.send(encode_packets(data, len(data)), socket.MSG_DONTWAIT)
        return
    raw = socket.inet_pton(sock.family, local[0].partition("%")[0])
    if sock.family == socket.AF_INET6:
        interface = local[3] if len(local) == 4 else 0
        kind = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _IN6_PKTINFO.pack(raw, interface))
    else:
        kind = (socket.IPPROTO_IP, IP_PKTINFO, _IN_PKTINFO.pack(0, raw, bytes(4)))
    sock.sendmsg([data], [kind], 0, remote)


def _destination(
    control: list[tuple[int, int, bytes]], own: SocketAddress
) -> SocketAddress | None:
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) >= _IN_PKTINFO.size:
            _, _, address = _IN_PKTINFO.unpack_from(data)
            return socket.inet_ntop(socket.AF_INET, address), own[1]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            raw, interface = _IN6_PKTINFO.unpack_from(data)
            host = socket.inet_ntop(socket.AF_INET6, raw)
            return host, own[1], 0, interface if host.startswith(_LINK_LOCAL) else 0
    return None
