"""Signs of life through aioquic, at a price that does not grow with the silence.

Each probe that nobody answers stays in aioquic's list of packets under way, which is gone through
at every further one; and after each it sends more of its own accord. An outage may last a day.
"""

from typing import TYPE_CHECKING

from aioquic.quic.packet_builder import QuicSentPacket
from aioquic.quic.recovery import QuicPacketSpace

if TYPE_CHECKING:
    from qsh.quic.engine_aioquic_connection import Connection

MOST_UNDER_WAY = 128
"""Unanswered packets from which on those that carry nothing are forgotten,"""
KEPT = 64
"""but for the newest: an answer to one of them says how long a round trip is."""


def kick(connection: "Connection", now: float) -> None:
    """Ask for a sign of life now, whatever timers and congestion window say: by sending the oldest
    unanswered data again if there is any, else by a PING."""
    loss = connection._loss
    if connection.heard_since_kick():
        # Else who kicks asks often enough: aioquic's own probes between two would double them.
        loss._pto_count = 0
    loss.reschedule_data(now=now)
    for space in loss.spaces:
        if len(space.sent_packets) > MOST_UNDER_WAY:
            _forget_probes(connection, space, now)


def _forget_probes(connection: "Connection", space: QuicPacketSpace, now: float) -> None:
    """No sign of congestion: nothing else arrives either."""
    old = list(space.sent_packets.values())[:-KEPT]
    bare = [packet for packet in old if _is_bare(connection, packet)]
    connection._loss._on_packets_lost(congestion_event=False, now=now, packets=bare, space=space)


def _is_bare(connection: "Connection", packet: QuicSentPacket) -> bool:
    """Whether nothing is to be sent again when the packet is lost. DATAGRAM frames have no handler
    and are not sent again; an acknowledgement is renewed by the next packet."""
    idle = (connection._on_ack_delivery, connection.path_size._delivered)
    for handler, arguments in packet.delivery_handlers:
        if handler == connection._on_ping_delivery:
            if arguments and arguments[0]:
                return False
        elif handler not in idle:
            return False
    return True
