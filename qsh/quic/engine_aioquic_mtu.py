"""How large datagrams may be: what aioquic does not find out (RFC 8899, RFC 9000 section 14.3).

Sizes are tried from small to large, each by a PING in a padded packet of its own. What arrives is
used at once; of what is lost three times nothing larger is tried for a while. When probes for lost
data stay unanswered, large datagrams may have ceased to get through: back to the least size.
"""

# ruff: noqa: E402  aioquic is made light before it is imported

from typing import TYPE_CHECKING

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic import tls
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder

from qsh.quic.engine import MIN_DATAGRAM_SIZE
from qsh.quic.engine_aioquic_congestion import set_datagram_size

if TYPE_CHECKING:
    from qsh.quic.engine_aioquic_connection import Connection

STEPS = (1400, 1452, 4000, 8952)
"""Bytes of UDP payload: tunnels, Ethernet, jumbo frames; and then the upper bound."""
MOST = 16000
"""Bytes: aioquic writes the length of a frame's data in two bytes, of which 14 bits count."""
TRIES = 3
"""Lost probes of one size that are believed (RFC 8899 section 5.1.2, MAX_PROBES)."""
REST = 60.0
"""Seconds without probes after a size has failed, or large datagrams have ceased to arrive."""
SILENT_PROBES = 2
"""Unanswered probes for lost data after which datagrams are made small."""


class PathSize:
    """What one connection knows about its path. `start` and `limit`: bytes of UDP payload."""

    def __init__(self, connection: "Connection", start: int, limit: int) -> None:
        self._connection = connection
        self._least = min(start, MIN_DATAGRAM_SIZE)
        limit = min(limit, MOST)
        self._steps = [step for step in STEPS if start < step < limit]
        if limit > start:
            self._steps.append(limit)
        self._probe: int | None = None
        self._lost = 0
        self._rests_until = 0.0
        self._now = 0.0

    def peer_takes(self, limit: int) -> None:
        """The peer's max_udp_payload_size (RFC 9000 section 18.2)."""
        smaller = [step for step in self._steps if step < limit]
        if self._steps and self._steps[-1] >= limit > self._connection._max_datagram_size:
            smaller.append(limit)
        self._steps = smaller

    def forget(self, now: float) -> None:
        """Another path: its size is not known."""
        self._use(self._least)
        self._probe, self._lost, self._rests_until = None, 0, now

    def shrink(self, now: float) -> None:
        """After an unanswered probe: large datagrams may not get through any more."""
        connection = self._connection
        tries = SILENT_PROBES if connection._handshake_complete else 1
        if connection._max_datagram_size > self._least and connection._loss._pto_count >= tries:
            self._use(self._least)
            self._probe, self._lost, self._rests_until = None, 0, now + REST

    def probe(self, now: float) -> tuple[bytes, tuple[str, int]] | None:
        """A datagram that finds out whether its size arrives; None when that is not due."""
        connection = self._connection
        self._now = now
        is_resting = self._probe is not None or now < self._rests_until
        if is_resting or not connection._handshake_confirmed:
            return None
        path = connection._network_paths[0]
        size = self._next_size()
        if size is None or not path.is_validated:
            return None
        self._probe = size
        builder = self._padded_ping(size)
        datagrams = connection._flush_builder(
            builder=builder, network_path=path, peer_cid=connection._peer_cid.cid, now=now
        )
        return datagrams[0]

    def _next_size(self) -> int | None:
        current = self._connection._max_datagram_size
        return next((step for step in self._steps if step > current), None)

    def _padded_ping(self, size: int) -> QuicPacketBuilder:
        connection = self._connection
        assert connection._version is not None
        builder = QuicPacketBuilder(
            host_cid=connection.host_cid,
            is_client=connection._is_client,
            max_datagram_size=size,
            packet_number=connection._packet_number,
            peer_cid=connection._peer_cid.cid,
            spin_bit=connection._spin_bit,
            version=connection._version,
        )
        builder.start_packet(QuicPacketType.ONE_RTT, connection._cryptos[tls.Epoch.ONE_RTT])
        buffer = builder.start_frame(
            QuicFrameType.PING, handler=self._delivered, handler_args=(size,)
        )
        buffer.push_bytes(bytes(builder.remaining_buffer_space))
        return builder

    def _delivered(self, delivery: QuicDeliveryState, size: int) -> None:
        if size != self._probe:
            return  # of another path, or from before the path became smaller
        self._probe = None
        if delivery == QuicDeliveryState.ACKED:
            self._lost = 0
            self._use(size)
            return
        self._lost += 1
        if self._lost >= TRIES:
            self._lost = 0
            self._rests_until = self._now + REST

    def _use(self, size: int) -> None:
        connection = self._connection
        connection._max_datagram_size = size
        set_datagram_size(connection._loss, size)
