"""Whether a path carries datagrams of 1200 bytes, where the first proof of the address was small.

To an address that nobody has proved, a server may send three times what came from there (RFC 9000
section 8.1). Where that is less than 1200 bytes the PATH_CHALLENGE is sent as small as it is, and
the address is proved by its answer, but not the path's size: section 8.2.1 wants another challenge
in a datagram of 1200 bytes, which may be sent as soon as the first one is answered.
"""

# ruff: noqa: E402  aioquic is made light before it is imported

from collections import deque

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    MAX_LOCAL_CHALLENGES,
    QuicConnection,
    QuicNetworkPath,
    QuicReceiveContext,
)
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder

from qsh.quic.engine import MIN_DATAGRAM_SIZE

TRIES = 3
"""Large challenges that are lost before the path is taken as it is: PathSize finds what it bears,
and the address is proved in any case."""


class PathValidation(QuicConnection):
    """aioquic's connection with the second validation of a path."""

    def __init__(
        self,
        *,
        configuration: QuicConfiguration,
        original_destination_connection_id: bytes | None,
        retry_source_connection_id: bytes | None,
    ) -> None:
        self._small_challenges: deque[bytes] = deque(maxlen=MAX_LOCAL_CHALLENGES)
        self._unshown: QuicNetworkPath | None = None  # the next packet shall show its size
        self._tries_left = 0
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_connection_id,
            retry_source_connection_id=retry_source_connection_id,
        )

    def _write_path_challenge_frame(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath
    ) -> None:
        super()._write_path_challenge_frame(builder, network_path)
        if builder._flight_capacity < MIN_DATAGRAM_SIZE:
            # aioquic would spend on padding what an echo needs.
            builder._datagram_needs_padding = False
            self._small_challenges.append(network_path.local_challenges[-1])

    def _handle_path_response_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        start = buf.tell()
        data = buf.pull_bytes(8)
        buf.seek(start)
        for path in self._network_paths:
            if data in path.local_challenges and data in self._small_challenges:
                self._unshown, self._tries_left = path, TRIES
        super()._handle_path_response_frame(context, frame_type, buf)

    def write_second_challenge(self, builder: QuicPacketBuilder) -> None:
        """Put it in the packet that is being made, if one is due and congestion control lets the
        whole datagram pass; else it waits for another."""
        path, packet = self._unshown, builder._packet
        is_in_use = path is not None and path is self._network_paths[0]
        if path is None or not is_in_use or builder._flight_capacity < MIN_DATAGRAM_SIZE:
            return
        super()._write_path_challenge_frame(builder, path)
        assert packet is not None
        packet.delivery_handlers[-1] = (self._second_delivered, (path,))
        self._unshown = None

    def _second_delivered(self, delivery: QuicDeliveryState, path: QuicNetworkPath) -> None:
        """What arrived has shown that its size does; what was lost is sent again."""
        if delivery != QuicDeliveryState.ACKED and self._tries_left > 1:
            self._tries_left -= 1
            self._unshown = path
