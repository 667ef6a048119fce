"""UDP offloads of the kernel, and the control messages that use them.

Linux can cut one large buffer into datagrams (GSO, UDP_SEGMENT) and hand over a run of equal
datagrams as one buffer (GRO, UDP_GRO): one system call for up to 64 KiB. Where the kernel has
neither, or on other systems, everything works with one datagram per call.
"""

import socket
import struct
import sys

from qsh.record import record

SOL_UDP = 17
UDP_SEGMENT = 103
"""linux/udp.h; since Linux 4.18."""
UDP_GRO = 104
"""linux/udp.h; since Linux 5.0."""
IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
IP_MTU = 14
IPV6_MTU = 24
"""linux/in.h: what the kernel's route from a connected socket takes in one packet."""
IP_UDP_HEADERS = {socket.AF_INET: 28, socket.AF_INET6: 48}
"""Bytes before a UDP payload."""
ETHERNET_PAYLOAD = 1452
"""Bytes of UDP payload on Ethernet over IPv6: what is likely to pass."""
MAX_PAYLOAD = 65000
"""And the most that is ever tried: one run (qsh.quic.engine.Transmit)."""
PMTUDISC_PROBE = 3
"""linux/in.h: set DF and leave it to us to find the path's MTU (RFC 9000 section 14)."""

GRO_SPACE = socket.CMSG_SPACE(4) if hasattr(socket, "CMSG_SPACE") else 0
"""Bytes of control data that recvmsg needs for the segment size."""
SOCKET_BUFFER = 4 << 20
"""Bytes asked for; the kernel gives as many as net.core.rmem_max allows. A burst of a whole
congestion window must find room while Python is busy elsewhere."""

_Control = list[tuple[int, int, bytes]]


@record
class Offload:
    """What one socket can do."""

    gso: bool
    gro: bool


NONE = Offload(gso=False, gro=False)


def prepare(sock: socket.socket) -> Offload:
    """Turn on what the kernel has: offloads, don't-fragment, larger buffers. Nothing here fails:
    what is missing is reported as absent. Opens no descriptor, so it works in a sandbox."""
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        _try_option(sock, socket.SOL_SOCKET, option, SOCKET_BUFFER)
    if not sys.platform.startswith("linux"):
        return NONE
    _try_option(sock, socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
    if sock.family == socket.AF_INET6:
        _try_option(sock, socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
    return Offload(
        gso=_has_option(sock, SOL_UDP, UDP_SEGMENT), gro=_try_option(sock, SOL_UDP, UDP_GRO, 1)
    )


def prepare_forward(sock: socket.socket) -> None:
    """For a socket whose datagrams are others': a larger buffer, runs of datagrams as one (GRO).
    They may be fragmented, as everybody's."""
    _try_option(sock, socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
    if sys.platform.startswith("linux"):
        _try_option(sock, SOL_UDP, UDP_GRO, 1)


def _try_option(sock: socket.socket, level: int, option: int, value: int) -> bool:
    try:
        sock.setsockopt(level, option, value)
    except OSError:
        return False
    return True


def _has_option(sock: socket.socket, level: int, option: int) -> bool:
    try:
        sock.getsockopt(level, option)
    except OSError:
        return False
    return True


def largest_payload(sock: socket.socket) -> int:
    """Bytes of UDP payload that this machine would send in one packet to where the socket is
    connected: more than Ethernet's on loopback and where frames are jumbo. No more is known; what
    the rest of the path takes has to be tried (RFC 8899)."""
    if sock.family == socket.AF_UNIX:  # a stream of packets; the path may become UDP again
        return ETHERNET_PAYLOAD
    level, option = {
        socket.AF_INET: (socket.IPPROTO_IP, IP_MTU),
        socket.AF_INET6: (socket.IPPROTO_IPV6, IPV6_MTU),
    }[sock.family]
    try:
        mtu = sock.getsockopt(level, option) if sys.platform.startswith("linux") else 0
    except OSError:  # not connected
        mtu = 0
    return min(max(ETHERNET_PAYLOAD, mtu - IP_UDP_HEADERS[sock.family]), MAX_PAYLOAD)


def segment_control(segment_size: int) -> _Control:
    """Control data for sendmsg: cut the buffer into datagrams of `segment_size` bytes."""
    return [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", segment_size))]


def segment_size(control: _Control, length: int) -> int:
    """The size of the datagrams in a buffer of `length` bytes, from recvmsg's control data;
    `length` itself when it is a single datagram."""
    for level, kind, data in control:
        if level == SOL_UDP and kind == UDP_GRO and len(data) >= 4:
            size: int = struct.unpack_from("=i", data)[0]
            return size if 0 < size <= length else length
    return length


def split(data: bytes, size: int) -> list[bytes]:
    """The single datagrams of a run: `size` bytes each, the last may be shorter."""
    return [data[start : start + size] for start in range(0, len(data), size)]
