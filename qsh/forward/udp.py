"""UDP forwards: each peer address of a listening socket is a flow of its own (see forward.flow).

-L udp/…: the client listens, the server sends on; -R udp/… the other way round. A flow that is
idle is forgotten, like any NAT's.
"""

import asyncio
import socket
from collections.abc import Callable

from qsh.forward import datagram_socket, tcp
from qsh.forward.datagram_socket import Address
from qsh.forward.flow import Flow, Oversize
from qsh.forward.flow_table import IDLE_TIMEOUT, FlowTable
from qsh.forward.sockets import Sockets
from qsh.net.channel import Channel
from qsh.net.connection import Connection


class UdpListener:
    """Bound sockets whose peers become flows. `opens` gives the channel open for a peer's
    address. Owns the sockets."""

    def __init__(
        self,
        connection: Connection,
        sockets: list[socket.socket],
        opens: Callable[[tuple[str, int]], object],
        oversize: Oversize = Oversize.STREAM,
    ) -> None:
        self._sockets = sockets
        self._opens = opens
        self._flows: FlowTable[tuple[int, Address]] = FlowTable(connection, oversize)
        self._loop = asyncio.get_running_loop()
        for sock in sockets:
            self._loop.add_reader(sock.fileno(), self._readable, sock)

    @property
    def port(self) -> int:
        """The port it is bound to."""
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> None:
        """End the forward and its flows."""
        self._flows.close()
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def _readable(self, sock: socket.socket) -> None:
        for address, payloads in datagram_socket.receive(sock).items():
            self._pass_on(sock, address, payloads)

    def _pass_on(self, sock: socket.socket, address: Address, payloads: list[bytes]) -> None:
        self._flows.send(
            (sock.fileno(), address), payloads,
            lambda: self._opens((address[0], address[1])),
            lambda answers: datagram_socket.send(sock, answers, address),
        )  # fmt: skip


async def connect(
    channel: Channel, sockets: Sockets, target: tuple[str, int],
    oversize: Oversize = Oversize.STREAM,
) -> None:  # fmt: skip
    """Serve a flow that the peer opened: send its datagrams to `target`, and the answers back.
    Ends when the peer ends it, or when it is idle."""
    try:
        sock = await sockets.connect_udp(*target)
    except OSError as error:
        tcp.refuse(channel, error)
        return
    loop = asyncio.get_running_loop()
    flow = Flow(channel, lambda payloads: datagram_socket.send(sock, payloads), oversize)
    channel.accept()
    flow.opened()
    loop.add_reader(sock.fileno(), _pass_on, sock, flow)
    try:
        await _until_idle(channel, flow)
    finally:
        loop.remove_reader(sock.fileno())
        flow.close()
        sock.close()


async def _until_idle(channel: Channel, flow: Flow) -> None:
    loop = asyncio.get_running_loop()
    while (left := flow.last_used + IDLE_TIMEOUT - loop.time()) > 0:
        try:
            async with asyncio.timeout(left):
                await channel.wait_closed()
            return
        except TimeoutError:
            continue


def _pass_on(sock: socket.socket, flow: Flow) -> None:
    for payloads in datagram_socket.receive(sock).values():
        flow.send(payloads)
