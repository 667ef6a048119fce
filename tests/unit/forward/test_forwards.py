"""Forwards between two connections, with real sockets at both ends, on every engine."""

import asyncio
import hashlib
import os
import socket
from contextlib import asynccontextmanager, suppress

import pytest

from qsh.errors import OpenFailure
from qsh.forward import tcp, udp
from qsh.forward.flow import Oversize, Reassembler
from qsh.forward.listener import Listener
from qsh.forward.sockets import OwnSockets
from qsh.forward.socks import Socks
from qsh.net.tasks import spawn
from qsh.quic import engine as engines
from qsh.wire.forward_messages import DirectStreamlocal, DirectTcpip, DirectUdp
from qsh.wire.userauth_messages import NoneRequest
from tests.pair import Conditions, Pair

pytestmark = pytest.mark.no_cover  # it would take seven times as long

LOCALHOST = "127.0.0.1"


@pytest.fixture(params=engines.available())
def forwarding(request):
    """An async context: a pair of connections whose server connects what it is asked to."""

    @asynccontextmanager
    async def make():
        conditions = Conditions(latency=0.002)
        async with Pair(
            conditions, client_engine=request.param, server_engine=request.param
        ) as both:
            await _log_in(both)
            serving = spawn(_serve(both.server), "test: server")
            try:
                yield both
            finally:
                serving.cancel()

    return make


async def _log_in(both):
    both.client.trust()
    both.client.login.request("user", NoneRequest())
    await both.server.next_login_event()
    both.server.login.accept()
    await both.client.next_login_event()


async def _serve(server):
    while (channel := await server.accept_channel()) is not None:
        if isinstance(channel.body, DirectUdp):
            target = (channel.body.host, channel.body.port)
            spawn(udp.connect(channel, OwnSockets(), target), "test: flow")
        elif isinstance(channel.body, DirectTcpip) and channel.body.port == 1:
            channel.refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, "not permitted")
        else:
            spawn(tcp.connect(channel, OwnSockets()), "test: forward")


async def _echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _listen(both, opens):
    sockets = await OwnSockets().listen_tcp(LOCALHOST, 0)
    return Listener(sockets, tcp.through(both.client, opens))


async def _to(port):
    server = await asyncio.start_server(_echo, LOCALHOST, 0)
    return server, server.sockets[0].getsockname()[1]


def test_a_tcp_forward_is_byte_exact_and_keeps_half_close(forwarding):
    async def main():
        async with forwarding() as both:
            _server, port = await _to(0)
            listener = await _listen(both, lambda o: DirectTcpip(LOCALHOST, port, *o))
            block = os.urandom(1_000_000)

            async def one():
                reader, writer = await asyncio.open_connection(LOCALHOST, listener.port)
                writer.write(block)
                writer.write_eof()
                digest = hashlib.sha256(await reader.read())
                writer.close()
                return digest.digest()

            digests = await asyncio.gather(*(one() for _ in range(4)))
            assert set(digests) == {hashlib.sha256(block).digest()}
            listener.close()

    asyncio.run(main())


def test_what_is_refused_is_refused_to_the_application_too(forwarding):
    async def main():
        async with forwarding() as both:
            with socket.socket() as free:
                free.bind((LOCALHOST, 0))
                closed_port = free.getsockname()[1]
            listener = await _listen(both, lambda o: DirectTcpip(LOCALHOST, closed_port, *o))
            reader, writer = await asyncio.open_connection(LOCALHOST, listener.port)
            writer.write(b"hello")
            with suppress(ConnectionError):
                assert await reader.read() == b""
            listener.close()

    asyncio.run(main())


def test_a_unix_socket_at_the_far_end(forwarding, tmp_path):
    async def main():
        path = str(tmp_path / "far")
        async with forwarding() as both:
            server = await asyncio.start_unix_server(_echo, path)
            near = str(tmp_path / "near")
            listening = await OwnSockets().listen_unix(near, 0o177, unlink=True)
            assert (tmp_path / "near").stat().st_mode & 0o777 == 0o600
            listener = Listener(
                [listening], tcp.through(both.client, lambda _: DirectStreamlocal(path))
            )
            reader, writer = await asyncio.open_unix_connection(near)
            writer.write(b"hello")
            writer.write_eof()
            assert await reader.read() == b"hello"
            listener.close()
            server.close()

    asyncio.run(main())


async def _ask_socks(port, request):
    reader, writer = await asyncio.open_connection(LOCALHOST, port)
    writer.write(b"\5\1\0" + request)
    assert await reader.readexactly(2) == b"\5\0"
    return reader, writer, (await reader.readexactly(10))[1]


def test_socks_connects_by_address_and_by_name_and_says_why_not(forwarding):
    async def main():
        async with forwarding() as both:
            _server, port = await _to(0)
            sockets = await OwnSockets().listen_tcp(LOCALHOST, 0)
            listener = Listener(sockets, Socks(both.client).serve)
            target = port.to_bytes(2, "big")
            for address in (b"\1\x7f\0\0\1", b"\3\x09localhost"):
                request = b"\5\1\0" + address + target
                reader, writer, code = await _ask_socks(listener.port, request)
                assert code == 0
                writer.write(b"hello")
                writer.write_eof()
                assert await reader.read() == b"hello"
            _, _, code = await _ask_socks(listener.port, b"\5\1\0\1\x7f\0\0\1\0\1")
            assert code == 2  # not allowed
            with socket.socket() as free:
                free.bind((LOCALHOST, 0))
                closed = free.getsockname()[1].to_bytes(2, "big")
            _, _, code = await _ask_socks(listener.port, b"\5\1\0\1\x7f\0\0\1" + closed)
            assert code == 5  # refused
            listener.close()

    asyncio.run(main())


class _UdpEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


class _UdpClient(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def datagram_received(self, data, address):
        self.received.put_nowait(data)


@pytest.mark.parametrize("oversize", list(Oversize))
def test_udp_flows_keep_apart_and_large_datagrams_go_as_told(forwarding, oversize):
    async def main():
        loop = asyncio.get_running_loop()
        echo, _ = await loop.create_datagram_endpoint(_UdpEcho, local_addr=(LOCALHOST, 0))
        target = echo.get_extra_info("sockname")
        async with forwarding() as both:
            sockets = await OwnSockets().listen_udp(LOCALHOST, 0)
            listener = udp.UdpListener(
                both.client, sockets, lambda o: DirectUdp(*target, *o), oversize
            )
            clients = []
            for number in range(3):
                transport, client = await loop.create_datagram_endpoint(
                    _UdpClient, remote_addr=(LOCALHOST, listener.port)
                )
                clients.append(client)
                transport.sendto(b"flow %d" % number)
            for number, client in enumerate(clients):
                assert await asyncio.wait_for(client.received.get(), 5) == b"flow %d" % number
            large = os.urandom(8000)
            transport.sendto(large)
            transport.sendto(b"small")
            got = {await asyncio.wait_for(client.received.get(), 5)}
            if oversize is Oversize.STREAM:
                got.add(await asyncio.wait_for(client.received.get(), 5))
            assert got == ({large, b"small"} if oversize is Oversize.STREAM else {b"small"})
            listener.close()
        echo.close()

    asyncio.run(main())


def test_datagrams_out_of_a_stream() -> None:
    stream = b"".join(len(d).to_bytes(2, "big") + d for d in (b"", b"abc", b"x" * 300))
    reassembler = Reassembler()
    found = []
    for at in range(len(stream)):
        found += reassembler.receive(stream[at : at + 1])
    assert found == [b"", b"abc", b"x" * 300]
