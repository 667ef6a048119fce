"""aioquic's QuicConnection with what qsh needs and aioquic 1.7 has not.

Added: connection IDs from outside, the TLS exporter, flow control by consumption, stream
priorities, stateless resets, a fall back to small datagrams, and limits on what a peer can make us
store. Everything here rests on private names of aioquic: the version is pinned in pyproject.toml,
and the conformance suite (tests/unit/quic) fails where one of them changes its meaning.

It takes datagrams as they come and may raise: engine_aioquic.py is the boundary.
"""

# ruff: noqa: E402  aioquic is made light before it is imported

from collections import deque

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    QuicConnectionError,
    QuicConnectionId,
    QuicConnectionState,
    QuicNetworkPath,
    QuicReceiveContext,
)
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, pull_quic_transport_parameters
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from qsh.quic.engine import EngineConfig, Stats
from qsh.quic.engine_aioquic_congestion import pace, packets_lost
from qsh.quic.engine_aioquic_credit import Credit
from qsh.quic.engine_aioquic_keys import Exporter, choose_groups, group_name
from qsh.quic.engine_aioquic_mtu import PathSize
from qsh.quic.engine_aioquic_streams import SendOrder, takes_bytes, unsent_bytes
from qsh.quic.engine_aioquic_trace import Trace
from qsh.quic.engine_aioquic_validation import PathValidation
from qsh.quic.events import Address
from qsh.quic.identity import certificate_bytes

# From the specification.
RESET_TOKEN_LENGTH = 16  # RFC 9000 section 10.3
MIN_RESET_LENGTH = 21  # RFC 9000 section 10.3: 5 bytes that look like a packet, then the token
SHORT_HEADER_LENGTH = 3  # flags and the two bytes of packet number that aioquic sends
AEAD_TAG_LENGTH = 16
KEY_UPDATE_PACKETS = 1 << 22  # half of what RFC 9001 section 6.6 allows AES-GCM with one key
DATAGRAM_FRAME_OVERHEAD = 3  # RFC 9221 section 4: type, and a length of two bytes

# Ours.
CRYPTO_LIMIT = 65536
"""Bytes of TLS messages a peer may send in one epoch; aioquic would buffer 16 MB of one message."""
MAX_STREAM_HOLES = 4096
MAX_CRYPTO_HOLES = 256
"""Gaps in what has arrived: each costs aioquic time in proportion to their number."""
DATAGRAM_QUEUE = 1024
"""DATAGRAM frames waiting to be sent; the oldest give way."""


class Connection(PathValidation):
    """One connection; `config` is qsh's, `configuration` aioquic's."""

    def __init__(
        self,
        configuration: QuicConfiguration,
        config: EngineConfig,
        *,
        original_destination_connection_id: bytes | None = None,
        retry_source_connection_id: bytes | None = None,
    ) -> None:
        self.authenticated = False
        """A packet was decrypted since the caller last cleared this."""
        self._packets_received = self._received_at_kick = 0
        self._config = config
        self._order = SendOrder()
        self._queue: list[QuicStream] = []
        self._exporter: Exporter | None = None
        self._stopped: set[int] = set()
        self._next_key_update = KEY_UPDATE_PACKETS
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_connection_id,
            retry_source_connection_id=retry_source_connection_id,
        )
        self._datagrams_pending = deque(maxlen=DATAGRAM_QUEUE)
        self._logger = self._loss._logger = Trace(self._original_destination_connection_id)
        pace(self._loss, self._max_datagram_size)
        self._host_cids.clear()
        self._host_cid_seq = 0
        first = self._issue_connection_id()
        first.was_sent = True
        if self._is_client:
            # Only a server's first ID has a token (RFC 9000 section 18.2).
            first.stateless_reset_token = None  # type: ignore[assignment]
        self.host_cid = self._local_initial_source_connection_id = first.cid
        streams = (self._local_max_streams_bidi, self._local_max_streams_uni)
        self.credit = Credit(self._local_max_data, streams, config.max_streams)
        self.path_size = PathSize(self, config.max_datagram_size, config.largest_datagram_size)

    # Connection IDs

    def _issue_connection_id(self) -> QuicConnectionId:
        issued = self._config.new_id()
        connection_id = QuicConnectionId(
            cid=issued.connection_id,
            sequence_number=self._host_cid_seq,
            stateless_reset_token=issued.reset_token,
        )
        self._host_cids.append(connection_id)
        self._host_cid_seq += 1
        return connection_id

    def _replenish_connection_ids(self) -> None:
        while len(self._host_cids) < min(8, self._remote_active_connection_id_limit):
            self._issue_connection_id()

    def is_stateless_reset(self, datagram: bytes, remote: Address) -> bool:
        """Whether a datagram that no key opened is a stateless reset (RFC 9000 section 10.3.1).
        Only the tokens of connection IDs in use towards `remote` count."""
        if len(datagram) < MIN_RESET_LENGTH or datagram[0] & 0x80:
            return False
        path = next((p for p in self._network_paths if p.addr == remote), None)
        if path is None:
            return False
        token = (path.peer_cid or self._peer_cid).stateless_reset_token
        from hmac import compare_digest  # loads OpenSSL's hashes, which start-up does without

        return bool(token) and compare_digest(datagram[-RESET_TOKEN_LENGTH:], token)

    # TLS

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        choose_groups(self.tls, self._config.key_exchange, is_client=self._is_client)
        if not self._is_client and self._retry_source_connection_id is not None:
            # The token in the client's Initial has shown its address to be real.
            self._network_paths[0].is_validated = True

    def _update_traffic_key(
        self,
        direction: tls.Direction,
        epoch: tls.Epoch,
        cipher_suite: tls.CipherSuite,
        secret: bytes,
    ) -> None:
        if epoch == tls.Epoch.ONE_RTT and self._exporter is None:
            self._exporter = Exporter(self.tls)
        super()._update_traffic_key(direction, epoch, cipher_suite, secret)

    @property
    def exporter(self) -> Exporter | None:
        """None until the handshake is complete."""
        return self._exporter if self._handshake_complete else None

    @property
    def key_exchange(self) -> str:
        return group_name(self.tls)

    @property
    def peer_certificate(self) -> bytes | None:
        """In DER, once the handshake is complete."""
        if not self._handshake_complete or self.tls._peer_certificate is None:
            return None
        return certificate_bytes(self.tls._peer_certificate)

    # What the peer may make us store

    def _payload_received(
        self, context: QuicReceiveContext, plain: bytes, crypto_frame_required: bool = False
    ) -> tuple[bool, bool]:
        self.authenticated = True
        self._packets_received += 1
        try:
            return super()._payload_received(context, plain, crypto_frame_required)
        except QuicConnectionError as error:
            if error.frame_type is None:
                # Without one, aioquic would send the error as the application's.
                error.frame_type = QuicFrameType.PADDING
            raise

    def _handle_crypto_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        start = buf.tell()
        end = buf.pull_uint_var() + buf.pull_uint_var()
        buf.seek(start)
        receiver = self._crypto_streams[context.epoch].receiver
        if end > CRYPTO_LIMIT or len(receiver._ranges) > MAX_CRYPTO_HOLES:
            raise QuicConnectionError(
                QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, frame_type, "too many bytes of TLS messages"
            )
        super()._handle_crypto_frame(context, frame_type, buf)

    def _handle_stream_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        start = buf.tell()
        stream = self._streams.get(buf.pull_uint_var())
        buf.seek(start)
        if stream is not None and len(stream.receiver._ranges) > MAX_STREAM_HOLES:
            raise QuicConnectionError(
                QuicErrorCode.INTERNAL_ERROR, frame_type, "too many holes in a stream"
            )
        super()._handle_stream_frame(context, frame_type, buf)

    # Flow control (see engine_aioquic_credit.py)

    def deliver(self, event: events.StreamDataReceived) -> bool:
        """Count bytes on their way to the application; False if it wants no more of the stream."""
        if event.stream_id in self._stopped:
            self.credit.skip(len(event.data))
            return False
        self.credit.deliver(event.stream_id, len(event.data))
        return True

    def abandon(self, event: events.StreamReset) -> None:
        """Count as consumed all of a stream that was reset, also what will never be delivered."""
        self.consume(event.stream_id, None)
        stream = self._streams.get(event.stream_id)
        if stream is not None and stream.receiver._final_size is not None:
            self.credit.skip(stream.receiver._final_size - stream.receiver.starting_offset())

    def consume(self, stream_id: int, count: int | None) -> None:
        """The application is done with `count` delivered bytes; None for all of them."""
        self.credit.consume(stream_id, count, self._streams.get(stream_id))

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        # As aioquic's, without the doubling of MAX_DATA.
        self.write_second_challenge(builder)
        data = self._local_max_data
        for limit in (data, self._local_max_streams_bidi, self._local_max_streams_uni):
            few = limit is not data and limit.sent - limit.used >= limit.value - limit.sent
            if few or limit.value == limit.sent:
                continue
            buf = builder.start_frame(
                limit.frame_type,
                capacity=CONNECTION_LIMIT_FRAME_CAPACITY,
                handler=self._on_connection_limit_delivery,
                handler_args=(limit,),
            )
            buf.push_uint_var(limit.value)
            limit.sent = limit.value

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        # As aioquic's, without the doubling of MAX_STREAM_DATA.
        if (
            stream.max_stream_data_local_sent == stream.max_stream_data_local
            or stream.receiver.is_finished
        ):
            return
        buf = builder.start_frame(
            QuicFrameType.MAX_STREAM_DATA,
            capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
            handler=self._on_max_stream_data_delivery,
            handler_args=(stream,),
        )
        assert stream.stream_id is not None
        buf.push_uint_var(stream.stream_id)
        buf.push_uint_var(stream.max_stream_data_local)
        stream.max_stream_data_local_sent = stream.max_stream_data_local

    # Streams

    @property
    def _streams_queue(self) -> list[QuicStream]:
        """The order in which streams may fill packets, sorted whenever aioquic looks at it."""
        self._order.apply(self._queue)
        return self._queue

    @_streams_queue.setter
    def _streams_queue(self, streams: list[QuicStream]) -> None:
        self._queue = streams

    def prioritize(self, stream_id: int, priority: int) -> None:
        """Larger goes first; 0 is normal."""
        if stream_id in self._streams:
            self._order.set(stream_id, priority)

    def open(self, *, bidirectional: bool) -> int:
        stream_id = self.get_next_available_stream_id(is_unidirectional=not bidirectional)
        self._get_or_create_stream_for_send(stream_id)
        return stream_id

    def write(self, stream_id: int, data: bytes, fin: bool) -> None:
        """Queue bytes; without effect on a stream that takes none."""
        stream = self._streams.get(stream_id)
        if stream is not None and takes_bytes(stream):
            stream.sender.write(data, end_stream=fin)

    def unsent(self, stream_id: int) -> int:
        stream = self._streams.get(stream_id)
        return 0 if stream is None else unsent_bytes(stream)

    def reset(self, stream_id: int, code: int) -> None:
        """RESET_STREAM, unless all was sent and acknowledged."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.sender.is_finished:
            stream.sender.reset(code)

    def stop(self, stream_id: int, code: int) -> None:
        """STOP_SENDING; what arrives on the stream from now on is thrown away."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            self._stopped.add(stream_id)
            self.stop_stream(stream_id, code)
            self.consume(stream_id, None)

    def forget_finished(self) -> None:
        """Drop what is remembered about streams that aioquic has dropped."""
        self._stopped &= self._streams.keys()
        self._order.forget_all_but(self._streams)

    # Datagrams

    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:
        super()._parse_transport_parameters(data, from_session_ticket)
        # aioquic checks max_udp_payload_size but does not obey it (RFC 9000 section 18.2).
        peer_limit = pull_quic_transport_parameters(Buffer(data=data)).max_udp_payload_size
        if peer_limit is not None:
            self._max_datagram_size = min(self._max_datagram_size, peer_limit)
            self.path_size.peer_takes(peer_limit)

    @property
    def max_datagram_payload(self) -> int | None:
        """Bytes of one DATAGRAM frame that fit a packet now; None if the peer takes none."""
        peer_limit = self._remote_max_datagram_frame_size
        if not self._handshake_complete or not peer_limit:
            return None
        overhead = SHORT_HEADER_LENGTH + len(self._peer_cid.cid) + AEAD_TAG_LENGTH
        room = min(self._max_datagram_size - overhead, peer_limit) - DATAGRAM_FRAME_OVERHEAD
        return room if room > 0 else None

    def drop_oversized(self) -> None:
        """Drop DATAGRAM frames at the head of the queue that no longer fit: they would block it."""
        limit = self.max_datagram_payload or 0
        while self._datagrams_pending and len(self._datagrams_pending[0]) > limit:
            self._datagrams_pending.popleft()

    def update_keys_in_time(self) -> None:
        """aioquic leaves it to its caller to obey the limits of AEAD (RFC 9001 section 6.6)."""
        if self._packet_number >= self._next_key_update and self._handshake_confirmed:
            self._next_key_update = self._packet_number + KEY_UPDATE_PACKETS
            self.request_key_update()

    # The connection

    def can_send(self, *, over: bool) -> bool:
        """There is somebody to send to; when all is `over`, only for the close itself."""
        alive = bool(self._network_paths) and self._state != QuicConnectionState.TERMINATED
        return alive and (self._close_pending or not over)

    @property
    def end(self) -> events.ConnectionTerminated | None:
        """Why the connection is over, if it is."""
        return self._close_event

    @property
    def closed_by_us(self) -> bool:
        return self._state != QuicConnectionState.DRAINING

    def is_idle(self, now: float) -> bool:
        """Nothing was heard for the idle time-out."""
        return self._close_event is None and self._close_at is not None and now >= self._close_at

    def heard_since_kick(self) -> bool:
        """Whether the peer has said something since this was last asked."""
        before, self._received_at_kick = self._received_at_kick, self._packets_received
        return before != self._packets_received

    @property
    def path(self) -> QuicNetworkPath | None:
        """The path in use; it may still have to be validated."""
        return self._network_paths[0] if self._network_paths else None

    def stats(self, bytes_sent: int, bytes_received: int) -> Stats:
        loss = self._loss
        return Stats(
            smoothed_rtt=loss._rtt_smoothed,
            latest_rtt=loss._rtt_latest,
            packets_sent=self._packet_number,
            packets_received=self._packets_received,
            packets_lost=packets_lost(loss._cc),
            bytes_sent=bytes_sent,
            bytes_received=bytes_received,
            congestion_window=loss.congestion_window,
            bytes_in_flight=loss.bytes_in_flight,
            datagram_size=self._max_datagram_size,
            remote=self.path.addr if self.path else None,
        )
