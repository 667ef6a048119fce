"""What a driver owes to its loop: one flush per turn, one timer, nothing before its time."""

import asyncio
import errno

import pytest

from qsh.errors import LocalProtocolError, NetworkError
from qsh.net.connection import Connection
from qsh.quic import engine as engines
from qsh.quic.engine import EngineConfig
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.connection import Role
from qsh.wire.start_messages import EnvRequest
from tests.pair import SERVER_ADDRESS, Conditions, Network, Pair, run


def client(network):
    """A client whose first flight has left, and nobody to hear it."""
    now = asyncio.get_running_loop().time()
    engine = engines.load().new_client(EngineConfig(idle_timeout=20), "", SERVER_ADDRESS, now)
    connection = Connection(Role.CLIENT, engine, network.client)
    connection.start()
    return connection


def test_the_first_flight_leaves_before_start_returns():
    async def main():
        network = Network()
        connection = client(network)
        assert network.client.flights
        connection.close()

    run(main())


def test_what_is_written_in_one_turn_leaves_in_one_flight():
    async def main():
        async with Pair(Conditions(latency=0.05)) as both:
            await both.log_in()
            await asyncio.sleep(1)
            before = len(both.network.client.flights)
            channel = both.client.open_channel(SessionOpen())
            for number in range(20):
                channel.send_request(EnvRequest(f"V{number}", "x"))
            await channel.write(b"input")
            channel.write_eof()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(both.network.client.flights) == before + 1

    run(main())


def test_an_answer_leaves_in_the_turn_in_which_the_question_came():
    async def main():
        async with Pair(Conditions(latency=0.05)) as both:
            await both.log_in()
            ours = both.client.open_channel(SessionOpen())
            theirs = await both.server.accept_channel()
            theirs.accept()
            await ours.opened()

            async def echo():
                while data := await theirs.read():
                    await theirs.write(data)

            echoing = asyncio.ensure_future(echo())
            await asyncio.sleep(1)
            asked_at, before = both.client.now(), len(both.network.server.flights)
            await ours.write(b"k")
            assert await ours.read() == b"k"
            times = [when for when, _ in both.network.server.flights[before:]]
            assert [when for when in times if when < asked_at + 0.0505] == [asked_at + 0.05]
            ours.write_eof()
            await echoing

    run(main())


def test_an_idle_connection_does_nothing():
    async def main():
        async with Pair(Conditions(latency=0.05), config=EngineConfig(idle_timeout=600)) as both:
            await both.log_in()
            await asyncio.sleep(2)
            flights = len(both.network.client.flights) + len(both.network.server.flights)
            await asyncio.sleep(300)
            assert len(both.network.client.flights) + len(both.network.server.flights) == flights
            assert not both.client.is_over

    run(main())


def test_keep_alives_outlive_the_idle_timeout():
    async def main():
        config = EngineConfig(idle_timeout=30, keep_alive=10)
        async with Pair(Conditions(latency=0.05), config=config) as both:
            await asyncio.sleep(300)
            assert not both.client.is_over

    run(main())


def test_nothing_is_said_before_the_handshake():
    async def main():
        connection = client(Network())
        with pytest.raises(LocalProtocolError):
            connection.open_channel(SessionOpen())
        with pytest.raises(NetworkError, match=r"192\.0\.2\.2 port 22"):
            await connection.handshaken()

    run(main())


def test_a_link_that_is_full_is_not_fed():
    async def main():
        async with Pair(Conditions(latency=0.01)) as both:
            await both.log_in()
            link = both.network.client
            channel = both.client.open_channel(SessionOpen())
            link.is_writable = False
            await asyncio.sleep(0.005)
            before = len(link.flights)
            writing = asyncio.ensure_future(channel.write(b"x"))
            await asyncio.sleep(1)
            assert len(link.flights) == before
            link.is_writable = True
            both.client._driver.link_writable()
            assert (await (await both.server.accept_channel()).read()) == b"x"
            await writing

    run(main())


def test_a_network_error_later_on_changes_nothing():
    async def main():
        async with Pair(Conditions(latency=0.01)) as both:
            await both.log_in()
            for number in (errno.ECONNREFUSED, errno.ENETUNREACH, errno.EPERM):
                both.network.client.fail(OSError(number, "x"))
            both.client.open_channel(SessionOpen())
            assert await both.server.accept_channel()

    run(main())


def test_a_crashing_engine_hurts_only_its_connection():
    async def main():
        async with Pair(Conditions(latency=0.01)) as both:
            await both.log_in()

            def crash(now):
                raise ValueError("bug")

            both.client.engine.datagrams_to_send = crash
            both.client.open_channel(SessionOpen())
            assert (await both.client.wait_closed()).reason == "internal error"
            assert both.network.client.is_closed

    run(main())
