"""The pump of one connection: datagrams → engine → events → wire, and back.

Everything runs as callbacks of one event loop: datagrams are handed to the engine as they are
read, events as soon as a batch is in, and what is to be sent leaves in one flush per turn of the
loop, so that an answer travels with the acknowledgement of its question. There is one timer.

Whatever goes wrong ends this connection and nothing else: the peer's faults with their code, our
own with a report in the log. May not know channels or logins; those are `Owner`'s.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from qsh.errors import DisconnectReason, ProtocolError, RemoteProtocolError
from qsh.log import logger
from qsh.net.aside import Aside
from qsh.net.paths import Paths
from qsh.net.tasks import report
from qsh.net.udp import LinkEndedError
from qsh.net.vigil import Vigil
from qsh.quic.engine import Engine
from qsh.quic.events import (
    Address,
    ConnectionClosed,
    DatagramsReceived,
    Event,
    HandshakeCompleted,
    PathChanged,
    PathTried,
    StreamData,
    StreamReset,
    StreamStopped,
)
from qsh.wire.channel import StreamWrite
from qsh.wire.connection import CONTROL_STREAM, Role
from qsh.wire.connection import Connection as WireConnection
from qsh.wire.events import Event as WireEvent

_log = logger("net")

GRANULARITY = 0.001
"""Seconds: the finest timer (RFC 9002 section 6.1.2, kGranularity)."""
TRANSMITS_PER_TURN = 8
"""Half a megabyte: it stays in the processor's cache, and acknowledgements are read in between."""
LINK_PATIENCE = 0.05
"""Seconds between looks at the engine's timer while the link takes nothing."""


class Owner(Protocol):
    """Who is told what happens on the connection."""

    def handshake_completed(self, event: HandshakeCompleted) -> None:
        """The application may send from now on."""

    def wire_event(self, event: WireEvent) -> None:
        """The protocol reports."""

    def flushing(self) -> None:
        """Datagrams are about to leave: the last chance to add to them."""

    def flushed(self) -> None:
        """Datagrams have left: there may be room in the engine."""

    def path_changed(self, remote: Address) -> None:
        """The peer is at another address, and has proved it."""

    def link_failed(self, error: OSError) -> None:
        """The network refused a datagram, or answered that it cannot be delivered."""

    def connection_ended(self, closed: ConnectionClosed) -> None:
        """The connection is over; told once."""


class Driver:
    """Drives one engine over one link."""

    def __init__(
        self, engine: Engine, wire: WireConnection, link: Paths, owner: Owner
    ) -> None:
        self.engine = engine
        self.link = link
        self.is_established = False
        """Whether the handshake is complete and the connection not over."""
        self.is_over = False
        self.aside = Aside(engine, self.wake, is_client=wire.role is Role.CLIENT)
        self.vigil = Vigil(engine, self.wake, self.aside.again)
        self._wire = wire
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._flush_scheduled = False
        self._engine_ended = False
        self._credit_raised = False
        self._owed: dict[int, int] = {}

    def start(self) -> None:
        """Begin. A client's first flight leaves before this returns."""
        self.link.start(self)
        self._guarded(self._turn)

    def wake(self) -> None:
        """There is something to send: flush soon, once for all who ask in this turn."""
        if not self._flush_scheduled and not self._engine_ended:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def close(self, code: int, reason: str) -> None:
        """End the connection: the peer is told at once, what waits to be sent is lost."""
        if self._engine_ended:
            return
        if not self.is_over:
            self._guarded(self._push)
            self._end(ConnectionClosed(code, reason, by_application=True, local=True))
            self._guarded(lambda: self.engine.close(code, reason, self._loop.time()))
            self.link.tell_counters()
        self._guarded(self._turn)

    def protect(self, action: Callable[[], None]) -> None:
        """Do something to the wire that may bring the peer's faults to light, and act on what
        comes of it."""

        def act() -> None:
            action()
            self._pump()
            self.wake()

        self._guarded(act)

    def push(self) -> None:
        """Hand what the wire has to the engine, so that `stream_unsent` counts it."""
        self._guarded(self._push)
        self.wake()

    # DatagramReceiver

    def receive_datagrams(self, data: bytes, segment_size: int, remote: Address) -> None:
        """Feed the engine. Its events wait for `batch_ended`."""
        if self._engine_ended:
            return
        try:
            self.engine.receive_datagrams(data, segment_size, remote, self._loop.time())
        except Exception as error:
            self._crashed(error)

    def batch_ended(self) -> None:
        """Act on what the datagrams brought. The flush comes after those who are woken by it, so
        that their answers go with the acknowledgement."""
        self._guarded(self._take_batch)
        self.wake()

    def link_writable(self) -> None:
        """Go on sending."""
        self.wake()

    def link_failed(self, error: OSError) -> None:
        """Tell the owner; the connection goes on unless the owner ends it."""
        if self.is_over:
            return
        self._owner.link_failed(error)
        if not (isinstance(error, LinkEndedError) and self.is_established and self.link.has_ended):
            return
        if self.link.patience:
            self._loop.call_later(self.link.patience, self._end_without_link, error)
        else:
            self._end_without_link(error)

    def _end_without_link(self, error: OSError) -> None:
        if not self.is_over and self.link.has_ended:
            self._end(ConnectionClosed(0, str(error), by_application=False, local=True))
            self._stop()

    # inside

    def _take_batch(self) -> None:
        # What the old path still brings does not speak for a new one.
        if self.is_established and self.link.is_heard:
            self.vigil.heard()
        self._pump()

    def _guarded(self, action: Callable[[], None]) -> None:
        """Whatever the action raises ends this connection, and nothing else."""
        if self._engine_ended:
            return
        try:
            action()
        except RemoteProtocolError as error:
            _log.debug1("the peer broke the protocol: %s", error)
            self._close_for(error)
        except Exception as error:
            self._crashed(error)

    def _close_for(self, error: ProtocolError) -> None:
        if not self.is_over:
            self._end(ConnectionClosed(error.code, str(error), by_application=True, local=True))
            self._guarded(lambda: self.engine.close(error.code, str(error), self._loop.time()))
        self.wake()

    def _crashed(self, error: Exception) -> None:
        """An error of our own: nothing here can be relied on any more but that the peer is to be
        told, once."""
        report(error, "a connection")
        closed = ConnectionClosed(
            DisconnectReason.CONNECTION_LOST, "internal error", by_application=True, local=True
        )
        try:
            self.engine.close(closed.code, closed.reason, self._loop.time())
            self.link.send(self.engine.datagrams_to_send(self._loop.time()))
        except Exception as another:
            _log.debug1("and it cannot be closed: %s", another)
        self._end(closed)
        self._stop()

    def _flush(self) -> None:
        self._flush_scheduled = False
        self._guarded(self._turn)

    def _turn(self) -> None:
        self._pump()
        self._push()
        if self._engine_ended:
            return
        if self.link.is_writable:
            if self.is_established:
                self._owner.flushing()
                self.aside.flushing()
            transmits = self.engine.datagrams_to_send(self._loop.time(), TRANSMITS_PER_TURN)
            if transmits:
                self.link.send(transmits)
                if len(transmits) >= TRANSMITS_PER_TURN:
                    self.wake()
                if self.is_established:
                    self.vigil.sent()
            if not self.is_over:
                self._owner.flushed()
            self._pump()
        self._arm()

    def _push(self) -> None:
        """Wire to engine. Before the handshake is complete nothing is said at all."""
        if not self.is_established:
            return
        engine, repeats, now = self.engine, self.aside.repeats, self._loop.time()
        for output in self._wire.data_to_send():
            if isinstance(output, StreamWrite):
                engine.send_stream_data(output.stream_id, output.data, output.fin)
                repeats.wrote(output.stream_id, output.data, output.fin, now)
            else:
                repeats.forget_written(output.stream_id)
                repeats.forget_read(output.stream_id)
                engine.reset_stream(output.stream_id, output.code)
                engine.stop_stream(output.stream_id, output.code)

    def _pump(self) -> None:
        """Engine to wire to owner."""
        while not self._engine_ended and (event := self.engine.next_event()) is not None:
            self._handle(event)
        self._report_wire()

    def _report_wire(self) -> None:
        while not self.is_over and (event := self._wire.next_event()) is not None:
            self._owner.wire_event(event)
        if self._wire.is_open and not self._credit_raised and self.is_established:
            self._credit_raised = True
            self.engine.raise_credit()
            for stream_id, count in self._owed.items():
                self.engine.consume(stream_id, count)
            self._owed.clear()
            self.wake()

    def _handle(self, event: Event) -> None:
        if isinstance(event, ConnectionClosed):
            self._end(event)  # the engine may still have a CONNECTION_CLOSE to send: see _arm
        elif self.is_over:
            pass  # we closed; what the peer still says is of no interest
        elif isinstance(event, StreamData):
            self._receive(event)
        elif isinstance(event, HandshakeCompleted):
            self._establish(event)
        elif isinstance(event, StreamReset | StreamStopped):
            repeats = self.aside.repeats
            is_reset = isinstance(event, StreamReset)
            (repeats.forget_read if is_reset else repeats.forget_written)(event.stream_id)
            self._wire.receive_abort(event.stream_id, event.code)
            self._report_wire()
        elif isinstance(event, DatagramsReceived):
            self._take_datagrams(event.datagrams)
        elif isinstance(event, PathChanged):
            self._owner.path_changed(event.remote)
        elif isinstance(event, PathTried) and self._wire.is_open:
            self.aside.heard_elsewhere(self.vigil.heard_before)

    def _receive(self, event: StreamData) -> None:
        stream_id, count = event.stream_id, len(event.data)
        data = self.aside.repeats.arrived(stream_id, event.data, event.fin)
        if data or event.fin:
            self._wire.receive_stream_data(stream_id, data, event.fin)
            self._report_wire()
        # The channels' windows bound what is stored, each on its own: were the engine's credit,
        # which all streams share, held back as well, one reader who stops would stall the others.
        # Only what is held before the login keeps its credit, so that it cannot grow.
        if self._credit_raised or (stream_id == CONTROL_STREAM and self._wire.role is Role.SERVER):
            self.engine.consume(stream_id, count)
        else:
            self._owed[stream_id] = self._owed.get(stream_id, 0) + count

    def _take_datagrams(self, datagrams: list[bytes]) -> None:
        if not self._wire.is_open:
            return
        flows, news = self.aside.taken(datagrams)
        for stream_id, data in news:
            self._wire.receive_stream_data(stream_id, data, False)
            self._report_wire()
        self._wire.receive_datagrams(flows)
        self._report_wire()

    def _establish(self, event: HandshakeCompleted) -> None:
        self.is_established = True
        if self._wire.role is Role.CLIENT:
            stream_id = self.engine.open_stream()
            assert stream_id == CONTROL_STREAM
            self.engine.set_priority(stream_id, 3)  # before any channel
        self._owner.handshake_completed(event)
        self._push()

    def _end(self, closed: ConnectionClosed) -> None:
        self.is_established = False
        self.vigil.stop()
        self.aside.stop()
        if not self.is_over:
            self.is_over = True
            self._owner.connection_ended(closed)

    def _stop(self) -> None:
        """The engine has ended too: no datagram will be sent or understood."""
        self._engine_ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.link.close()

    # the timer

    def _arm(self) -> None:
        """Have the loop call when the engine wants it. A deadline that moved on is not re-armed:
        the call finds out and arms anew, which is cheaper than doing so at every packet."""
        deadline = None if self._engine_ended else self.engine.get_timer()
        timer = self._timer
        if deadline is None:
            if self.is_over and not self._engine_ended:
                self._stop()
            return
        if timer is not None:
            if timer.when() <= deadline:
                return
            timer.cancel()
        # What is due and still not done waits for the link, or for nothing we know: never spin.
        now = self._loop.time()
        if deadline <= now:
            deadline = now + (GRANULARITY if self.link.is_writable else LINK_PATIENCE)
        self._timer = self._loop.call_at(deadline, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        deadline = None if self._engine_ended else self.engine.get_timer()
        now = self._loop.time()
        if deadline is not None:
            if deadline > now + 1e-6:  # the loop may be early by its tick
                self._guarded(self._arm)  # the deadline has moved on since
                return
            self._guarded(lambda: self.engine.handle_timer(max(now, deadline)))
        self._guarded(self._turn)
