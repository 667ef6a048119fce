"""One turn of sending with aioquic's connection."""

from qsh.quic.engine_aioquic_bbr import Bbr
from qsh.quic.engine_aioquic_connection import Connection
from qsh.quic.events import Address


def send(connection: Connection, now: float) -> list[tuple[bytes, Address]]:
    """The datagrams that may leave now."""
    connection.drop_oversized()
    connection.update_keys_in_time()
    datagrams = connection.datagrams_to_send(now)
    if probe := connection.path_size.probe(now):
        datagrams.append(probe)
    connection.forget_finished()
    controller = connection._loss._cc
    if isinstance(controller, Bbr) and _has_room(connection):
        controller.rest()
    return datagrams


def _has_room(connection: Connection) -> bool:
    """Whether more could have left: neither the pacer nor the window held it back."""
    loss = connection._loss
    room = loss.congestion_window - loss.bytes_in_flight
    return connection._pacing_at is None and room >= connection._max_datagram_size
