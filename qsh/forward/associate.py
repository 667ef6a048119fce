"""A SOCKS 5 UDP association (RFC 1928 section 7): a socket that relays an application's datagrams.

Each target that the application names is a flow of its own. The association lives as long as the
connection that asked for it. Only that connection's machine may use it, and of that only the
socket that sent first.
"""

import asyncio
import socket

from qsh.forward import datagram_socket
from qsh.forward.flow import Oversize
from qsh.forward.flow_table import FlowTable
from qsh.forward.socks_wire import Associate, UdpDatagram, decode_udp, encode_udp
from qsh.net import offload
from qsh.net.connection import Connection
from qsh.wire.forward_messages import DirectUdp


class Association:
    """One association. `control` is the application's connection, `request` what it asked for."""

    def __init__(
        self, connection: Connection, control: socket.socket, request: Associate
    ) -> None:
        """Raises OSError if no socket can be had."""
        self._application = control.getpeername()[0]
        self._port = request.port
        self._control = control
        self._socket = socket.socket(control.family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        offload.prepare_forward(self._socket)
        self._socket.bind((control.getsockname()[0], 0))
        self._flows: FlowTable[tuple[str, int]] = FlowTable(connection, Oversize.STREAM)

    @property
    def address(self) -> tuple[str, int]:
        """Where the application is to send to."""
        name = self._socket.getsockname()
        return name[0], name[1]

    async def run(self) -> None:
        """Relay until the application closes its connection."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket.fileno(), self._readable)
        try:
            while await loop.sock_recv(self._control, 1024):
                pass
        except OSError:
            pass
        finally:
            loop.remove_reader(self._socket.fileno())
            self._flows.close()
            self._socket.close()

    def _readable(self) -> None:
        for address, packets in datagram_socket.receive(self._socket).items():
            datagrams = [known for known in map(decode_udp, packets) if known is not None]
            if datagrams and self._is_application(address[0], address[1]):
                self._pass_on(datagrams)

    def _pass_on(self, datagrams: list[UdpDatagram]) -> None:
        """What the application sends, by where it is to go."""
        found: dict[tuple[str, int], list[bytes]] = {}
        for datagram in datagrams:
            found.setdefault((datagram.host, datagram.port), []).append(datagram.payload)
        for target, payloads in found.items():
            self._send(*target, payloads)

    def _is_application(self, host: str, port: int) -> bool:
        if host != self._application or self._port not in (0, port):
            return False
        self._port = port
        return True

    def _send(self, host: str, port: int, payloads: list[bytes]) -> None:
        def deliver(payloads: list[bytes]) -> None:
            answers = [encode_udp(UdpDatagram(host, port, payload)) for payload in payloads]
            datagram_socket.send(self._socket, answers, (self._application, self._port))

        self._flows.send(
            (host, port), payloads,
            lambda: DirectUdp(host, port, self._application, self._port), deliver,
        )  # fmt: skip
