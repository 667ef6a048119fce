"""Moving to another path, and breaking silence, with aioquic's connection.

aioquic follows a peer that moves; what it lacks is the moving side, the forgetting of what was
learned about the old path (RFC 9000 section 9.4), and a way to have a sign of life at once.
"""

# ruff: noqa: E402  aioquic is made light before it is imported

import math

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic.quic.congestion.base import create_congestion_control
from aioquic.quic.recovery import QuicPacketRecovery

from qsh.quic.engine_aioquic_congestion import (
    CONTROLLERS,
    carry_over,
    pace,
    registered_name,
)
from qsh.quic.engine_aioquic_connection import Connection
from qsh.quic.engine_aioquic_silence import kick as kick


def migrate(connection: Connection, now: float) -> None:
    """What is sent from now on leaves from another local address: with a connection ID that the
    old path has not seen (RFC 9000 section 9.5), and at once."""
    connection.change_connection_id()
    forget_path(connection, now)
    _leave_behind(connection._loss)
    kick(connection, now)


def _leave_behind(loss: QuicPacketRecovery) -> None:
    """Packets sent by the old path do not count towards the window of the new one (RFC 9000 section
    9.4)."""
    for space in loss.spaces:
        for packet in space.sent_packets.values():
            packet.in_flight = False
    loss._cc.bytes_in_flight = 0


def forget_path(connection: Connection, now: float) -> None:
    """Round trip times and congestion window are those of another path; what is under way there
    says nothing about this one (RFC 9000 section 9.4)."""
    loss = connection._loss
    _renew_controller(connection, now)
    connection.path_size.forget(now)
    _forget_round_trips(loss)


def use_congestion_control(connection: Connection, name: str, now: float) -> bool:
    """Send by that controller from now on; False for one that aioquic has not."""
    if name not in CONTROLLERS:
        return False
    connection.configuration.congestion_control_algorithm = registered_name(name)
    _renew_controller(connection, now)
    return True


def _renew_controller(connection: Connection, now: float) -> None:
    loss = connection._loss
    controller = create_congestion_control(
        connection.configuration.congestion_control_algorithm,
        max_datagram_size=connection._max_datagram_size,
    )
    carry_over(loss._cc, controller, now)
    loss._cc = controller
    pace(loss, connection._max_datagram_size)


def _forget_round_trips(loss: QuicPacketRecovery) -> None:
    loss._pto_count = 0
    loss._rtt_initialized = False
    loss._rtt_min = math.inf
    loss._rtt_variance = 0.0
