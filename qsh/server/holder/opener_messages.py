"""What a worker may ask the user's opener for, and the answers. Data only.

One message per packet of a SOCK_SEQPACKET socket pair. Answers carry the ticket of their request
and come in any order, as names and far hosts take their time; descriptors come with them.
"""

from qsh.record import record
from qsh.wire.codec import Registry, UInt32, message

MAX_MESSAGE = 8 * 1024
"""Bytes: a path (4096) or a name, and some numbers."""
MAX_PASSED = 8
"""Descriptors in one answer."""


@message(1)
@record
class ConnectTcp:
    """A connection to `host`:`port`."""

    ticket: UInt32
    host: str
    port: UInt32


@message(2)
@record
class ConnectUdp:
    """A UDP socket for `host`:`port`."""

    ticket: UInt32
    host: str
    port: UInt32


@message(3)
@record
class ConnectUnix:
    """A connection to the Unix socket at `path`."""

    ticket: UInt32
    path: str


@message(4)
@record
class ListenTcp:
    """Listeners at `host`:`port`, as a client asked for."""

    ticket: UInt32
    host: str
    port: UInt32


@message(5)
@record
class ListenUdp:
    """Bound UDP sockets at `host`:`port`, as a client asked for."""

    ticket: UInt32
    host: str
    port: UInt32


@message(6)
@record
class ListenUnix:
    """A listener at `path`."""

    ticket: UInt32
    path: str


@message(7)
@record
class ListenAgent:
    """A listener in a folder that nobody else can enter."""

    ticket: UInt32


@message(8)
@record
class Unlink:
    """Remove the name of a socket made by ListenUnix."""

    ticket: UInt32
    path: str


@message(9)
@record
class ListenX11:
    """Listeners like those of an X server, at the first display that is free."""

    ticket: UInt32


@message(10)
@record
class OpenTunnel:
    """The tunnel device number `unit`, of that mode (wire.forward_messages)."""

    ticket: UInt32
    mode: UInt32
    unit: UInt32


@message(11)
@record
class ResizeTunnel:
    """Make `size` the MTU of a device opened by OpenTunnel."""

    ticket: UInt32
    name: str
    size: UInt32


@message(101)
@record
class Opened:
    """Done; `path` is where a ListenAgent listens, the number of ListenX11's display,
    the name of OpenTunnel's device."""

    ticket: UInt32
    path: str = ""


@message(102)
@record
class Failed:
    """Not possible: an error number of the system, or 0, and its text."""

    ticket: UInt32
    errno: UInt32
    text: str


@message(103)
@record
class Forbidden:
    """Not permitted."""

    ticket: UInt32
    text: str


REQUESTS = Registry(
    ConnectTcp, ConnectUdp, ConnectUnix, ListenTcp, ListenUdp, ListenUnix, ListenAgent, Unlink,
    ListenX11, OpenTunnel, ResizeTunnel,
)  # fmt: skip
REPLIES = Registry(Opened, Failed, Forbidden)
