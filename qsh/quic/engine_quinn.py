"""The native engine: quinn-proto and rustls (native/) behind the interface of qsh.quic.engine.

All work on packets is done in Rust, without the interpreter's lock; here events and facts get
their Python form. What is hostile ends there too: nothing from the network raises.
"""

import qsh_native

from qsh.errors import ConfigError, LocalProtocolError
from qsh.quic.engine import NO_LIMIT, Engine, EngineConfig, ServerIdentity, Stats, Transmit
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

EVENTS = (
    HandshakeCompleted,
    StreamData,
    StreamReset,
    StreamStopped,
    DatagramsReceived,
    PathChanged,
    ConnectionClosed,
    PathTried,
)
"""By the numbers that the native module gives them."""

MAX_REASON_BYTES = 256
"""Of a close, so that it fits every packet (as engine_aioquic has it)."""


def new_client(config: EngineConfig, server_name: str, remote: Address, now: float) -> Engine:
    """See qsh.quic.engine.EngineFactory.

    Raises ConfigError for a setting that the engine cannot honour.
    """
    try:
        native = qsh_native.Connection.client(config, server_name, remote, now)
    except ValueError as error:
        raise ConfigError(f"QUIC cannot start: {error}") from error
    return QuinnEngine(native)


def new_server(
    config: EngineConfig,
    identity: ServerIdentity,
    *,
    original_destination_connection_id: bytes,
    retry_source_connection_id: bytes | None,
    now: float,
) -> Engine:
    """See qsh.quic.engine.EngineFactory. A Retry's token must have 65 bytes or more.

    Raises ConfigError for a setting that the engine cannot honour.
    """
    try:
        native = qsh_native.Connection.server(
            config,
            identity.certificate_der,
            identity.private_key_der,
            original_destination_connection_id,
            retry_source_connection_id,
            now,
        )
    except ValueError as error:
        raise ConfigError(f"QUIC cannot start: {error}") from error
    return QuinnEngine(native)


class QuinnEngine:
    """See qsh.quic.engine.Engine."""

    name = "quinn"

    def __init__(self, native: qsh_native.Connection) -> None:
        self._native = native
        # Called for every batch, and in need of nothing here: no detour through Python.
        self.receive_datagrams = native.receive_datagrams
        self.get_timer = native.get_timer
        self.handle_timer = native.handle_timer
        self.migrate = native.migrate
        self.kick = native.kick
        self.use_congestion_control = native.use_congestion_control
        self.send_stream_data = native.send_stream_data
        self.stream_unsent = native.stream_unsent
        self.consume = native.consume
        self.raise_credit = native.raise_credit
        self.reset_stream = native.reset_stream
        self.stop_stream = native.stop_stream
        self.set_priority = native.set_priority

    def datagrams_to_send(self, now: float, most: int = NO_LIMIT) -> list[Transmit]:
        return [
            Transmit(data, segment_size, remote)
            for data, segment_size, remote in self._native.datagrams_to_send(now, most)
        ]

    def next_event(self) -> Event | None:
        event = self._native.next_event()
        if event is None:
            return None
        number, fields = event
        return EVENTS[number](*fields)  # type: ignore[arg-type]

    def open_stream(self, *, bidirectional: bool = True) -> int:
        try:
            return self._native.open_stream(bidirectional=bidirectional)
        except qsh_native.StateError as error:
            raise LocalProtocolError(str(error)) from None

    def send_datagrams(self, datagrams: list[bytes]) -> None:
        try:
            self._native.send_datagrams(datagrams)
        except qsh_native.StateError as error:
            raise LocalProtocolError(str(error)) from None

    @property
    def max_datagram_payload(self) -> int | None:
        return self._native.max_datagram_payload

    def close(self, code: int, reason: str, now: float) -> None:
        short = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        self._native.close(code, short, now)

    def export_keying_material(self, label: bytes, context: bytes, length: int) -> bytes:
        try:
            return self._native.export_keying_material(label, context, length)
        except qsh_native.StateError as error:
            raise LocalProtocolError(str(error)) from None

    @property
    def peer_certificate(self) -> bytes | None:
        return self._native.peer_certificate

    @property
    def original_destination_connection_id(self) -> bytes:
        return self._native.original_destination_connection_id

    @property
    def stats(self) -> Stats:
        return Stats(*self._native.raw_stats())
