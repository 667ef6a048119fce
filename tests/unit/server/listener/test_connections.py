"""The listener's table of connections."""

import selectors
import socket

from qsh.server.listener.cid_router import CONNECTION_ID_LENGTH, Header
from qsh.server.listener.connection_ids import ServerKeys
from qsh.server.listener.connections import Connections
from qsh.server.listener.served import Served
from qsh.server.listener.udp_sockets import Received

REMOTE, LOCAL = ("192.0.2.1", 4242), ("198.51.100.1", 22)
FIRST = REMOTE, b"f" * CONNECTION_ID_LENGTH


class Table:
    """A table and the ends of its connections, of workers and of monitors."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.connections = Connections(
            ServerKeys.generate(), self.selector, lambda *_: None, lambda *_: None
        )

    def add(self, number):
        """The worker's and the monitor's end of a new connection by the same first packet."""
        (relay, workers), (report, monitors) = (
            socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)
        )
        for sock in (relay, report):
            sock.setblocking(False)
        self.connections.add(Served(number, relay, report, (REMOTE, LOCAL), FIRST))
        return workers, monitors

    def turn(self):
        for key, _ in self.selector.select(0):
            key.data()

    def find(self):
        header = Header(True, 1, FIRST[1], b"", 0, 0)
        served = self.connections.find(header, Received(b"", REMOTE, LOCAL))
        return served.number if served is not None else None


def test_a_client_that_begins_anew_is_not_forgotten_with_its_earlier_worker():
    """Its first worker died, the client sent its first packet again, and only then the first
    monitor ends: what comes now is the second worker's."""
    table = Table()
    workers, monitors = table.add(1)
    assert table.find() == 1
    workers.close()
    table.turn()
    assert table.find() is None
    others = table.add(2)
    monitors.close()
    table.turn()
    assert len(table.connections) == 1
    assert table.find() == 2
    for sock in others:
        sock.close()
