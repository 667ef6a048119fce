"""The links of one connection: a DatagramLink that outlives each of them.

A client that moves opens a link on its new path before it lets go of the old one; a server gets a
link for each address that its client has proved to be at. The engine sends and receives as ever.
May not decide when to move: see migration.py and the server's worker.
"""

import asyncio
from collections.abc import Callable
from itertools import groupby
from operator import attrgetter

from qsh.net.udp import DatagramLink, DatagramReceiver, LinkEndedError, StreamBased, UdpLink
from qsh.quic.engine import Transmit
from qsh.quic.events import Address

OVERLAP = 3.0
"""Seconds for which a path that was left is still listened to: what was under way on it."""
MOST_LEGS = 4
"""Paths that are listened to at once, those included that nobody has proved to be at."""


class _Leg:
    """A link, and what comes from it: its DatagramReceiver."""

    def __init__(self, paths: "Paths", link: DatagramLink) -> None:
        self.link = link
        self.is_heard = False
        self.has_ended = False
        self._paths = paths

    def receive_datagrams(self, data: bytes, segment_size: int, remote: Address) -> None:
        self.is_heard = True
        self._paths.received(data, segment_size, remote)

    def batch_ended(self) -> None:
        self._paths.ended(self)

    def link_writable(self) -> None:
        self._paths.writable(self)

    def link_failed(self, error: OSError) -> None:
        self._paths.failed(self, error)


class Paths:
    """Sends by the path that is in use, receives by all.

    `hides_peer`, for clients: the engine knows the server by the address of the first link, also
    when a later one leads to another of its addresses (IPv4 or IPv6). Without it each Transmit
    goes by the link to its own address; `relay` takes those for which there is none, else the
    link in use sends them.
    """

    def __init__(self, first: DatagramLink, *, hides_peer: bool) -> None:
        self.relay: Callable[[Transmit], None] | None = None
        self._legs = [_Leg(self, first)]
        self._alias = first.remote if hides_peer else None
        self._hides_peer = hides_peer
        self._receiver: DatagramReceiver | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._traffic_class: int | None = None
        self.patience = 0.0
        """Seconds for which a connection whose last link has ended waits for another."""

    @property
    def _link(self) -> DatagramLink:
        return self._legs[0].link

    @property
    def local(self) -> Address:
        """Our address on the path in use."""
        return self._link.local

    @property
    def remote(self) -> Address | None:
        """The peer's address on the path in use."""
        return self._link.remote

    @property
    def is_writable(self) -> bool:
        """False while the path in use takes nothing."""
        return self._link.is_writable

    @property
    def has_ended(self) -> bool:
        """Whether no link is left: all were streams, which are over."""
        return all(leg.has_ended for leg in self._legs)

    @property
    def is_stream(self) -> bool:
        """Whether the path in use is a stream."""
        return isinstance(self._link, StreamBased)

    @property
    def is_heard(self) -> bool:
        """Whether a client has heard anything by the path in use. A server hears of new paths by
        what comes on them."""
        return self._legs[0].is_heard or not self._hides_peer

    def start(self, receiver: DatagramReceiver) -> None:
        """Hand over what arrives, from now on."""
        self._receiver = receiver
        for leg in self._legs:
            leg.link.start(leg)

    def mark(self, traffic_class: int) -> None:
        """IPQoS for what is sent from now on, by links yet to come as well."""
        self._traffic_class = traffic_class
        for leg in self._legs:
            self._mark(leg.link)

    def _mark(self, link: DatagramLink) -> None:
        if self._traffic_class is not None and isinstance(link, UdpLink):
            link.mark(self._traffic_class)

    def use(self, link: DatagramLink) -> None:
        """Send by this link from now on. The others go on receiving: until something has come by
        this one, and then a little longer."""
        if self._is_closed:
            link.close()
            return
        self._mark(link)
        leg = _Leg(self, link)
        self._legs.insert(0, leg)
        self._stop_closing()
        if self._receiver is not None:
            link.start(leg)

    def listen_to(self, link: DatagramLink) -> None:
        """Take what comes by this link as well. It is used when the engine answers its address."""
        if self._is_closed:
            link.close()
            return
        while len(self._legs) >= MOST_LEGS:
            self._legs.pop().link.close()
        self._mark(link)
        leg = _Leg(self, link)
        self._legs.append(leg)
        if self._receiver is not None:
            link.start(leg)

    def use_again(self, remote: Address) -> bool:
        """Send by a link to that address, if there still is one; whether there is."""
        for leg in self._legs:
            if leg.link.remote == remote:
                self._legs.remove(leg)
                self._legs.insert(0, leg)
                self._stop_closing()
                self._close_others_soon()
                return True
        return False

    @property
    def before(self) -> Address | None:
        """Our address on the path in use before, if it is still open."""
        return self._legs[1].link.local if len(self._legs) > 1 else None

    def go_back(self) -> bool:
        """Send by the path that was in use before, if it is still open; whether it is."""
        if len(self._legs) < 2 or self._legs[1].has_ended:
            return False
        self._legs.append(self._legs.pop(0))
        self._stop_closing()
        return True

    def send(self, transmits: list[Transmit]) -> None:
        """Send, or keep until there is room."""
        if not self._hides_peer:
            for remote, run in groupby(transmits, key=attrgetter("remote")):
                self._send_to(remote, list(run))
            return
        remote = self._link.remote
        if remote is not None and remote != self._alias:
            transmits = [Transmit(one.data, one.segment_size, remote) for one in transmits]
        self._link.send(transmits)

    def _send_to(self, remote: Address, transmits: list[Transmit]) -> None:
        for leg in self._legs:
            if leg.link.remote in (remote, None):
                leg.link.send(transmits)
                return
        if self.relay is None:
            self._link.send(transmits)
            return
        for transmit in transmits:
            self.relay(transmit)

    def tell_counters(self) -> None:
        """Log how well system calls were used, where that is known."""
        for leg in self._legs:
            if isinstance(leg.link, UdpLink):
                leg.link.tell_counters()

    def close(self) -> None:
        """Close all links."""
        self._is_closed = True
        self._stop_closing()
        for leg in self._legs:
            leg.link.close()

    # from the legs

    def received(self, data: bytes, segment_size: int, remote: Address) -> None:
        """Datagrams by any path."""
        if self._receiver is not None:
            self._receiver.receive_datagrams(data, segment_size, self._alias or remote)

    def ended(self, leg: _Leg) -> None:
        """All that one path had has been handed over."""
        if leg is self._legs[0] and len(self._legs) > 1 and self._closing is None:
            self._close_others_soon()
        if self._receiver is not None:
            self._receiver.batch_ended()

    def writable(self, leg: _Leg) -> None:
        """A path takes datagrams again."""
        if self._receiver is not None and leg is self._legs[0]:
            self._receiver.link_writable()

    def failed(self, leg: _Leg, error: OSError) -> None:
        """What the network says of a path that was left is of no interest."""
        leg.has_ended |= isinstance(error, LinkEndedError)
        if self._receiver is not None and leg is self._legs[0]:
            self._receiver.link_failed(error)

    # inside

    def _close_others_soon(self) -> None:
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(OVERLAP, self._close_others)

    def _stop_closing(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _close_others(self) -> None:
        self._closing = None
        others, self._legs = self._legs[1:], self._legs[:1]
        for leg in others:
            leg.link.close()
