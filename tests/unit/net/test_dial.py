"""Racing addresses on a virtual clock, and the words for every way to fail."""

import asyncio
import errno
import socket

import pytest

from qsh.errors import NetworkError
from qsh.net import dial as dial_module
from qsh.net.connection import Connection
from qsh.net.dial import Endpoint, dial, interleave, literal, resolve_name
from qsh.quic import engine as engines
from qsh.quic.engine import EngineConfig
from tests.pair import Acceptor, Conditions, Network, run, unattested

V4, V6 = socket.AF_INET, socket.AF_INET6


def v4(host, port=22):
    return Endpoint(V4, (host, port))


def v6(host, port=22):
    return Endpoint(V6, (host, port, 0, 0))


class World:
    """Hosts by address: a Network with a server behind it, or an OSError."""

    def __init__(self, **hosts):
        self.opened = []
        self.networks = {}
        self.hosts = hosts

    def open_link(self, endpoint, bind_address):
        loop = asyncio.get_running_loop()
        host = endpoint.sockaddr[0]
        self.opened.append((host, loop.time()))
        what = self.hosts["names"][host]
        if isinstance(what, OSError):
            raise what
        network = self.networks[host] = Network(what or Conditions(), server_address=(host, 22))
        if what is None:
            network.cut()
        else:
            Acceptor(network.server, None, EngineConfig())
        return network.client

    async def resolve(self, host, port, family):
        return [v6(name) if ":" in name else v4(name) for name in self.hosts["names"]]


async def dial_in(world, **values):
    return await dial(
        "host",
        22,
        factory=engines.load(),
        config=EngineConfig(),
        resolve=world.resolve,
        open_link=world.open_link,
        **values,
    )


def test_the_families_take_turns():
    mixed = [v6("2001:db8::1"), v6("2001:db8::2"), v6("2001:db8::3"), v4("192.0.2.1")]
    order = [str(endpoint) for endpoint in interleave(mixed)]
    assert order == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]
    assert interleave([]) == []


def test_literal_addresses_ask_nobody():
    assert literal("192.0.2.1", 22, 0) == [v4("192.0.2.1")]
    assert literal("2001:db8::1", 22, 0) == [v6("2001:db8::1")]
    assert literal("192.0.2.1", 22, V6) == []
    assert literal("example.org", 22, 0) == []


def test_a_dead_address_costs_a_quarter_of_a_second():
    async def main():
        world = World(names={"2001:db8::1": None, "192.0.2.1": Conditions(latency=0.05)})
        start = asyncio.get_running_loop().time()
        connection = await dial_in(world)
        assert asyncio.get_running_loop().time() - start == pytest.approx(0.35, abs=0.01)
        assert [host for host, _ in world.opened] == ["2001:db8::1", "192.0.2.1"]
        await asyncio.sleep(60)
        assert world.networks["2001:db8::1"].client.is_closed
        assert not world.networks["192.0.2.1"].client.is_closed
        connection.close()

    run(main())


def test_the_first_handshake_wins_not_the_first_address():
    async def main():
        slow, fast = Conditions(latency=0.4), Conditions(latency=0.05)
        world = World(names={"2001:db8::1": slow, "192.0.2.1": fast})
        connection = await dial_in(world)
        assert connection.remote == ("192.0.2.1", 22)
        connection.close()

    run(main())


def test_an_address_without_a_way_is_passed_over_at_once():
    async def main():
        unreachable = OSError(errno.ENETUNREACH, "Network is unreachable")
        world = World(names={"2001:db8::1": unreachable, "192.0.2.1": Conditions(latency=0.05)})
        start = asyncio.get_running_loop().time()
        (await dial_in(world)).close()
        assert asyncio.get_running_loop().time() - start == pytest.approx(0.1, abs=0.01)

    run(main())


def test_a_refusal_on_the_way_starts_the_next_at_once():
    async def main():
        world = World(names={"192.0.2.9": None, "192.0.2.1": Conditions(latency=0.05)})
        start = asyncio.get_running_loop().time()
        dialling = asyncio.ensure_future(dial_in(world))
        await asyncio.sleep(0.02)
        world.networks["192.0.2.9"].client.fail(OSError(errno.ECONNREFUSED, "refused"))
        (await dialling).close()
        assert asyncio.get_running_loop().time() - start == pytest.approx(0.12, abs=0.01)

    run(main())


def test_silence_has_a_time_and_a_port():
    async def main():
        world = World(names={"192.0.2.1": None, "192.0.2.2": None})
        start = asyncio.get_running_loop().time()
        with pytest.raises(NetworkError, match=r"at host on port 22/udp within 3 s"):
            await dial_in(world, timeout=3)
        assert asyncio.get_running_loop().time() - start == pytest.approx(3, abs=0.01)
        await asyncio.sleep(60)
        assert all(network.client.is_closed for network in world.networks.values())

    run(main())


def test_all_addresses_fail():
    async def main():
        unreachable = OSError(errno.ENETUNREACH, "Network is unreachable")
        world = World(names={"2001:db8::1": unreachable, "192.0.2.1": None})
        dialling = asyncio.ensure_future(dial_in(world))
        await asyncio.sleep(0.02)
        world.networks["192.0.2.1"].client.fail(OSError(errno.ECONNREFUSED, "refused"))
        with pytest.raises(NetworkError) as caught:
            await dialling
        assert str(caught.value) == (
            "cannot connect to host port 22/udp: no route to it; refused: no qshd listens there"
        )

    run(main())


def test_a_firewall_is_named_when_nothing_comes():
    async def main():
        world = World(names={"192.0.2.1": None})
        dialling = asyncio.ensure_future(dial_in(world, timeout=1))
        await asyncio.sleep(0.02)
        world.networks["192.0.2.1"].client.fail(OSError(errno.EPERM, "Operation not permitted"))
        with pytest.raises(NetworkError, match="the local firewall forbids it"):
            await dialling

    run(main())


def test_cancelled_it_leaves_nothing_behind():
    async def main():
        world = World(names={"192.0.2.1": None})
        dialling = asyncio.ensure_future(dial_in(world))
        await asyncio.sleep(0.5)
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
        await asyncio.sleep(60)
        assert world.networks["192.0.2.1"].client.is_closed

    run(main())


def test_the_round_trip_is_time_to_work():
    async def main():
        world = World(names={"192.0.2.1": Conditions(latency=0.05)})
        sent = []

        def meanwhile():
            sent.append(list(world.networks["192.0.2.1"].client.flights))

        (await dial_in(world, meanwhile=meanwhile)).close()
        assert len(sent) == 1
        assert sent[0]

    run(main())


def test_names_that_nobody_knows(monkeypatch):
    def unknown(*arguments):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(dial_module.socket, "getaddrinfo", unknown)
    with pytest.raises(NetworkError) as caught:
        asyncio.run(resolve_name("nowhere.invalid", 22, 0))
    assert str(caught.value) == (
        "cannot find the address of nowhere.invalid: name or service not known"
    )


def test_a_name_that_is_none():
    with pytest.raises(NetworkError, match="is no host name"):
        asyncio.run(resolve_name("a" * 70 + ".example", 22, 0))


def test_a_closed_port_on_a_real_socket():
    with socket.socket(V4, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

    async def main():
        factory, config = engines.load(), EngineConfig()
        with pytest.raises(NetworkError, match=f"port {port}/udp: refused: no qshd listens there"):
            await dial("127.0.0.1", port, factory=factory, config=config, timeout=5)
        with pytest.raises(NetworkError, match="local address to bind is not available"):
            await dial("127.0.0.1", port, factory=factory, config=config, bind_address="192.0.2.1")

    asyncio.run(main())


@pytest.mark.parametrize(("family", "host"), [(V4, "127.0.0.1"), (V6, "::1")])
def test_a_connection_over_real_sockets(family, host):
    async def serve(sock):
        loop = asyncio.get_running_loop()
        first, remote = await loop.sock_recvfrom(sock, 65535)
        engine = engines.load().new_server(
            EngineConfig(),
            unattested(),
            original_destination_connection_id=first[6 : 6 + first[5]],
            retry_source_connection_id=None,
            now=loop.time(),
        )
        sock.connect(remote)
        return Connection.serve(sock, engine, [first], remote[:2])

    async def main():
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        sock.setblocking(False)
        serving = asyncio.ensure_future(serve(sock))
        port = sock.getsockname()[1]
        client = await dial(host, port, factory=engines.load(), config=EngineConfig(), timeout=10)
        server = await serving
        await server.handshaken()
        assert client.remote == server.local == (host, port)
        assert server.remote == client.local
        client.close(11, "done")
        assert (await server.wait_closed()).reason == "done"

    asyncio.run(main())
