"""Bodies of forwarding: RFC 4254 sections 6.3 and 7, OpenSSH's PROTOCOL section 2, and UDP.

Data only. `kind` names a channel open, `name` a request; the registries are in channel_messages
and global_messages.
"""

from typing import ClassVar

from qsh.record import record
from qsh.wire.codec import UInt32


@record
class DirectTcpip:
    """RFC 4254 section 7.2: connect to `host`:`port`."""

    kind: ClassVar[str] = "direct-tcpip"
    host: str
    port: UInt32
    originator_host: str
    originator_port: UInt32


@record
class ForwardedTcpip:
    """RFC 4254 section 7.2: somebody connected to the listener at `host`:`port`."""

    kind: ClassVar[str] = "forwarded-tcpip"
    host: str
    port: UInt32
    originator_host: str
    originator_port: UInt32


@record
class DirectStreamlocal:
    """OpenSSH's PROTOCOL section 2.4: connect to the Unix socket `path`."""

    kind: ClassVar[str] = "direct-streamlocal@openssh.com"
    path: str
    reserved: str = ""
    reserved_number: UInt32 = 0


@record
class ForwardedStreamlocal:
    """OpenSSH's PROTOCOL section 2.4: somebody connected to the listener at `path`."""

    kind: ClassVar[str] = "forwarded-streamlocal@openssh.com"
    path: str
    reserved: str = ""


@record
class DirectUdp:
    """One UDP flow to `host`:`port`. Its datagrams are QUIC's (wire.datagram); what is too large
    for one goes over the stream, each as a uint16 length and its bytes."""

    kind: ClassVar[str] = "direct-udp@qsh"
    host: str
    port: UInt32
    originator_host: str
    originator_port: UInt32


@record
class ForwardedUdp:
    """One UDP flow from somebody who sent to the listener at `host`:`port`."""

    kind: ClassVar[str] = "forwarded-udp@qsh"
    host: str
    port: UInt32
    originator_host: str
    originator_port: UInt32


POINT_TO_POINT, ETHERNET = 1, 2
"""Modes of a tunnel: of IP packets, of Ethernet frames (OpenSSH's PROTOCOL section 2.3)."""
ANY_UNIT = 0x7FFFFFFF


@record
class TunnelOpen:
    """As OpenSSH's `tun@openssh.com` (PROTOCOL section 2.3): a tunnel to the server's device number
    `unit`, or any. Its packets are datagrams, as those of DirectUdp, without a head."""

    kind: ClassVar[str] = "tun@qsh"
    mode: UInt32
    unit: UInt32


@record
class AgentOpen:
    """OpenSSH's PROTOCOL.agent: a connection to the client's agent."""

    kind: ClassVar[str] = "auth-agent@openssh.com"


@record
class X11Open:
    """RFC 4254 section 6.3.2."""

    kind: ClassVar[str] = "x11"
    originator_host: str
    originator_port: UInt32


@record
class DropLargeRequest:
    """To the other end of a flow: what does not fit the path, drop rather than send by stream."""

    name: ClassVar[str] = "drop-large@qsh"


@record
class AgentRequest:
    """OpenSSH's PROTOCOL.agent: forward the agent to this session."""

    name: ClassVar[str] = "auth-agent-req@openssh.com"


@record
class X11Request:
    """RFC 4254 section 6.3.1."""

    name: ClassVar[str] = "x11-req"
    is_single: bool
    protocol: str
    cookie: str
    screen: UInt32


@record
class TcpipForward:
    """RFC 4254 section 7.1: listen; with port 0 the answer is a uint32, the port chosen."""

    name: ClassVar[str] = "tcpip-forward"
    host: str
    port: UInt32


@record
class CancelTcpipForward:
    """RFC 4254 section 7.1."""

    name: ClassVar[str] = "cancel-tcpip-forward"
    host: str
    port: UInt32


@record
class StreamlocalForward:
    """OpenSSH's PROTOCOL section 2.4: listen at `path`."""

    name: ClassVar[str] = "streamlocal-forward@openssh.com"
    path: str


@record
class CancelStreamlocalForward:
    """OpenSSH's PROTOCOL section 2.4."""

    name: ClassVar[str] = "cancel-streamlocal-forward@openssh.com"
    path: str


@record
class UdpForward:
    """As TcpipForward, for UDP."""

    name: ClassVar[str] = "udp-forward@qsh"
    host: str
    port: UInt32


@record
class CancelUdpForward:
    """As CancelTcpipForward, for UDP."""

    name: ClassVar[str] = "cancel-udp-forward@qsh"
    host: str
    port: UInt32


@record
class PortChosen:
    """The answer to a TcpipForward or UdpForward of port 0."""

    port: UInt32


OPENS = (
    DirectTcpip,
    ForwardedTcpip,
    DirectStreamlocal,
    ForwardedStreamlocal,
    DirectUdp,
    ForwardedUdp,
    TunnelOpen,
    AgentOpen,
    X11Open,
)
REQUESTS = (AgentRequest, X11Request, DropLargeRequest)
GLOBALS = (
    TcpipForward,
    CancelTcpipForward,
    StreamlocalForward,
    CancelStreamlocalForward,
    UdpForward,
    CancelUdpForward,
)
