"""The engine in pure Python: aioquic behind the interface of qsh.quic.engine.

This file is the boundary: it turns aioquic's events into ours, joins datagrams into runs, and holds
back every exception that hostile input can cause inside aioquic. What a packet causes that no key
opened is ignored; what an authenticated packet causes ends this connection.
"""

# ruff: noqa: E402  aioquic is made light before it is imported

import logging
import ssl
from collections import deque
from collections.abc import Iterable

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic.quic import events as quic_events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicErrorCode, QuicFrameType

from qsh.errors import LocalProtocolError
from qsh.quic import engine_aioquic_paths as paths
from qsh.quic.engine import (
    CONNECTION_ID_LENGTH,
    NO_LIMIT,
    Engine,
    EngineConfig,
    ServerIdentity,
    Stats,
    Transmit,
)
from qsh.quic.engine_aioquic_congestion import registered_name
from qsh.quic.engine_aioquic_connection import Connection
from qsh.quic.engine_aioquic_credit import STREAM_WINDOW
from qsh.quic.engine_aioquic_sending import send
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
from qsh.quic.identity import load_identity

MAX_RUN_DATAGRAMS = 64
MAX_RUN_BYTES = 65000
MAX_REASON_BYTES = 256
"""The reason of a close must fit a packet with room to spare; aioquic raises if it does not."""
ROUNDING = 1e-6
"""Seconds: aioquic adds times in one place and subtracts them in another, so that at the very
moment of a timer it may find nothing due yet, for ever."""

_log = logging.getLogger("qsh.quic.aioquic")


def new_client(config: EngineConfig, server_name: str, remote: Address, now: float) -> Engine:
    """See qsh.quic.engine.EngineFactory."""
    configuration = _configuration(config, is_client=True)
    configuration.server_name = server_name or None
    connection = Connection(configuration, config)
    connection.connect(remote, now)
    return AioquicEngine(connection, config, now)


def new_server(
    config: EngineConfig,
    identity: ServerIdentity,
    *,
    original_destination_connection_id: bytes,
    retry_source_connection_id: bytes | None,
    now: float,
) -> Engine:
    """See qsh.quic.engine.EngineFactory."""
    configuration = _configuration(config, is_client=False)
    configuration.certificate, configuration.private_key = load_identity(identity)
    connection = Connection(
        configuration,
        config,
        original_destination_connection_id=original_destination_connection_id,
        retry_source_connection_id=retry_source_connection_id,
    )
    return AioquicEngine(connection, config, now)


def _configuration(config: EngineConfig, *, is_client: bool) -> QuicConfiguration:
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=[config.alpn],
        congestion_control_algorithm=registered_name(config.congestion_control),
        connection_id_length=CONNECTION_ID_LENGTH,
        idle_timeout=config.idle_timeout,
        initial_rtt=config.initial_rtt,
        max_data=config.pre_login_credit,
        max_datagram_frame_size=65535,
        max_datagram_size=config.max_datagram_size,
        max_stream_data=STREAM_WINDOW,
        secrets_log_file=open(config.key_log, "a") if config.key_log else None,
        supported_versions=[1],
        # No authority vouches for the certificate: the attestation in it does. That the peer holds
        # its key is checked all the same (CertificateVerify).
        verify_mode=ssl.CERT_NONE,
    )


class AioquicEngine:
    """See qsh.quic.engine.Engine."""

    name = "aioquic"

    def __init__(self, connection: Connection, config: EngineConfig, now: float) -> None:
        self._connection = connection
        self._config = config
        self._events: deque[Event] = deque()
        self._closed = False
        self.raise_credit = connection.credit.raise_all
        self._remote: Address | None = None  # where the peer was last known to be, and heard
        self._tried: Address | None = None
        self._last_heard = now
        self._datagrams_sent = 0
        self._bytes_sent = 0
        self._bytes_received = 0

    # Datagrams in

    def receive_datagrams(
        self, data: bytes, segment_size: int, remote: Address, now: float
    ) -> None:
        if self._closed:
            return
        step = segment_size if segment_size > 0 else max(len(data), 1)
        self._bytes_received += len(data)
        for start in range(0, len(data), step):
            self._receive(data[start : start + step], remote, now)
        self._collect(now)

    def _receive(self, datagram: bytes, remote: Address, now: float) -> None:
        connection = self._connection
        connection.authenticated = False
        try:
            connection.receive_datagram(datagram, remote, now)
        except Exception as error:
            # aioquic's code for hostile input is not free of faults; whatever it raises must not
            # reach the driver.
            if connection.authenticated:
                self._fail(error)
            else:
                _log.debug("a datagram was dropped: %r", error)
        if connection.authenticated:
            self._last_heard = now
        elif connection.is_stateless_reset(datagram, remote):
            self._end(ConnectionClosed(0, "stateless reset", by_application=False, local=False))

    # Datagrams out

    def datagrams_to_send(self, now: float, most: int = NO_LIMIT) -> list[Transmit]:
        connection = self._connection
        if not connection.can_send(over=self._closed):
            return []
        try:
            datagrams = send(connection, now)
        except Exception as error:
            self._fail(error)
            return []
        self._datagrams_sent += len(datagrams)
        self._bytes_sent += sum(len(data) for data, _ in datagrams)
        return list(_join(datagrams))

    # Events

    def next_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def _collect(self, now: float) -> None:
        """Turn aioquic's events into ours."""
        waiting: list[quic_events.StreamDataReceived] = []
        while (event := self._connection.next_event()) is not None and not self._closed:
            if isinstance(event, quic_events.StreamDataReceived):
                if not self._connection.deliver(event):
                    continue
                if waiting and waiting[-1].stream_id != event.stream_id:
                    self._flush(waiting)
                waiting.append(event)
            else:
                self._flush(waiting)
                self._translate(event)
        self._flush(waiting)
        self._check_path(now)
        self._check_close()

    def _flush(self, waiting: list[quic_events.StreamDataReceived]) -> None:
        """Join what arrived of one stream in one go: fewer events for the same bytes."""
        if waiting:
            data = waiting[0].data if len(waiting) == 1 else b"".join([e.data for e in waiting])
            self._events.append(StreamData(waiting[0].stream_id, data, waiting[-1].end_stream))
            waiting.clear()

    def _translate(self, event: quic_events.QuicEvent) -> None:
        match event:
            case quic_events.HandshakeCompleted():
                self._remote = self._connection.path.addr if self._connection.path else None
                key_exchange = self._connection.key_exchange
                alpn = event.alpn_protocol or ""
                self._events.append(HandshakeCompleted(alpn, event.session_resumed, key_exchange))
            case quic_events.StreamReset():
                self._connection.abandon(event)
                self._events.append(StreamReset(event.stream_id, event.error_code))
            case quic_events.StopSendingReceived():
                self._events.append(StreamStopped(event.stream_id, event.error_code))
            case quic_events.DatagramFrameReceived():
                self._datagram_arrived(event.data)

    def _datagram_arrived(self, data: bytes) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(last, DatagramsReceived):
            last.datagrams.append(data)
        else:
            self._events.append(DatagramsReceived([data]))

    def _check_path(self, now: float) -> None:
        path = self._connection.path
        if self._remote is None or path is None:
            return
        if path.addr not in (self._remote, self._tried):
            self._events.append(PathTried(path.addr))
        self._tried = path.addr
        if path.is_validated and path.addr != self._remote:
            if path.addr[0] != self._remote[0]:  # else a NAT has forgotten: the path is the same
                paths.forget_path(self._connection, now)
            self._remote = path.addr
            self._events.append(PathChanged(path.addr))

    def _check_close(self) -> None:
        """aioquic reports the end only after the closing period; we as soon as it is known."""
        end = self._connection.end
        if end is None or self._closed:
            return
        reason, local = end.reason_phrase, self._connection.closed_by_us
        if end.frame_type is None:
            self._end(ConnectionClosed(end.error_code, reason, by_application=True, local=local))
        else:
            self._end(ConnectionClosed(end.error_code, reason, by_application=False, local=local))

    def _end(self, event: ConnectionClosed) -> None:
        if not self._closed:
            self._closed = True
            self._events.append(event)

    def _fail(self, error: Exception) -> None:
        """Something inside aioquic went wrong: this connection cannot be trusted to go on."""
        _log.debug("the connection failed: %r", error)
        self._connection.close(QuicErrorCode.INTERNAL_ERROR, QuicFrameType.PADDING, "")
        code = int(QuicErrorCode.INTERNAL_ERROR)
        self._end(ConnectionClosed(code, "internal error", by_application=False, local=True))

    # Time

    def get_timer(self) -> float | None:
        if self._closed:
            return None
        timer = self._connection.get_timer()
        keep_alive = self._keep_alive_at()
        if timer is None or keep_alive is None:
            return timer
        return min(timer, keep_alive)

    def handle_timer(self, now: float) -> None:
        connection = self._connection
        if self._closed or connection.get_timer() is None:  # get_timer also sets aioquic's timers
            return
        if connection.is_idle(now):
            self._end(ConnectionClosed(0, "idle timeout", by_application=False, local=False))
            return
        try:
            connection.handle_timer(now + ROUNDING)
            connection.path_size.shrink(now)
        except Exception as error:
            self._fail(error)
        keep_alive = self._keep_alive_at()
        if keep_alive is not None and now >= keep_alive:
            self._last_heard = now
            connection.send_ping(0)
        self._collect(now)

    def _keep_alive_at(self) -> float | None:
        if self._config.keep_alive is None or self._remote is None:
            return None
        return self._last_heard + self._config.keep_alive

    # Paths

    def migrate(self, now: float) -> None:
        if self._remote is not None and not self._closed:
            paths.migrate(self._connection, now)

    def kick(self, now: float) -> None:
        if self._remote is not None and not self._closed:
            paths.kick(self._connection, now)

    def use_congestion_control(self, name: str, now: float) -> bool:
        return paths.use_congestion_control(self._connection, name, now)

    # Streams

    def open_stream(self, *, bidirectional: bool = True) -> int:
        if self._closed:
            raise LocalProtocolError("the connection is closed: no new streams")
        return self._connection.open(bidirectional=bidirectional)

    def send_stream_data(self, stream_id: int, data: bytes, fin: bool = False) -> None:
        if not self._closed:
            self._connection.write(stream_id, data, fin)

    def stream_unsent(self, stream_id: int) -> int:
        return 0 if self._closed else self._connection.unsent(stream_id)

    def consume(self, stream_id: int, count: int) -> None:
        self._connection.consume(stream_id, count)

    def reset_stream(self, stream_id: int, code: int) -> None:
        if not self._closed:
            self._connection.reset(stream_id, code)

    def stop_stream(self, stream_id: int, code: int) -> None:
        if not self._closed:
            self._connection.stop(stream_id, code)

    def set_priority(self, stream_id: int, priority: int) -> None:
        self._connection.prioritize(stream_id, priority)

    # Unreliable datagrams

    def send_datagrams(self, datagrams: list[bytes]) -> None:
        if self._closed:
            return
        limit = self.max_datagram_payload
        if limit is None:
            raise LocalProtocolError("the peer takes no datagrams")
        for data in datagrams:
            if len(data) > limit:
                raise LocalProtocolError(f"a datagram of {len(data)} bytes; the path takes {limit}")
            self._connection.send_datagram_frame(data)

    @property
    def max_datagram_payload(self) -> int | None:
        return self._connection.max_datagram_payload

    # The connection

    def close(self, code: int, reason: str, now: float) -> None:
        if self._closed:
            return
        short = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        self._connection.close(code, None, short)
        self._end(ConnectionClosed(code, reason, by_application=True, local=True))

    def export_keying_material(self, label: bytes, context: bytes, length: int) -> bytes:
        exporter = self._connection.exporter
        if exporter is None:
            raise LocalProtocolError("no keying material before the handshake is complete")
        return exporter.export(label, context, length)

    @property
    def peer_certificate(self) -> bytes | None:
        return self._connection.peer_certificate

    @property
    def original_destination_connection_id(self) -> bytes:
        return self._connection.original_destination_connection_id

    @property
    def stats(self) -> Stats:
        return self._connection.stats(self._bytes_sent, self._bytes_received)


def _join(datagrams: Iterable[tuple[bytes, Address]]) -> Iterable[Transmit]:
    """Runs of datagrams of one size to one address; a shorter one ends its run (UDP GSO)."""
    run: list[bytes] = []
    target: Address | None = None
    room = 0
    for data, remote in datagrams:
        fits = run and remote == target and len(data) <= len(run[0]) and len(data) <= room
        if not fits or len(run[-1]) < len(run[0]) or len(run) == MAX_RUN_DATAGRAMS:
            if run and target is not None:
                yield Transmit(b"".join(run), len(run[0]), target)
            run, target, room = [], remote, MAX_RUN_BYTES
        run.append(data)
        room -= len(data)
    if run and target is not None:
        yield Transmit(b"".join(run), len(run[0]), target)
