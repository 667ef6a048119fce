"""A client that moves, on a virtual clock; over every engine."""

import asyncio
import os
import socket

import pytest

from qsh.net.endpoint import Endpoint
from tests.pair import CLIENT_ADDRESS, Conditions, read_all, write_all
from tests.unit.net.world import (
    LTE,
    ROUND_TRIP,
    SERVER,
    SERVER_6,
    echo_time,
    now,
    world,
)

pytestmark = pytest.mark.no_cover  # it would take seven times as long


def test_output_follows_a_client_that_types_nothing(pair):
    async def test(world, ours, theirs):
        world.move_to(LTE)
        begin = now()
        await theirs.write(b"tail -f")
        assert await ours.read() == b"tail -f"
        assert now() - begin < 2 * ROUND_TRIP + 0.3
        assert world.pair.client.migrations == 1

    world(pair, test)


@pytest.mark.parametrize("gap", [0, 3])
def test_a_transfer_goes_on_byte_for_byte(pair, gap):
    async def test(world, ours, theirs):
        up, down = os.urandom(1 << 20), os.urandom(1 << 20)
        sending = asyncio.gather(write_all(ours, up), write_all(theirs, down))
        reading = asyncio.gather(read_all(theirs), read_all(ours))
        for number in range(4):
            await asyncio.sleep(0.3)
            if gap:
                world.network.cut()
                world.move_to(None)
                await asyncio.sleep(gap)
                world.network.mend()
            world.move_to(f"198.51.100.{number}")
        await sending
        assert await reading == [up, down]
        assert world.pair.client.migrations >= 4

    world(pair, test, Conditions(latency=0.02, rate=2e6, loss=0.002))


def test_a_nat_that_forgets_is_followed_by_the_server(pair):
    async def test(world, ours, theirs):
        for number in range(3):
            public = ("203.0.113.9", 61000 + number)
            world.network.rebind(public)
            assert await echo_time(ours, theirs) < ROUND_TRIP + 0.01
            await asyncio.sleep(1)
            assert world.pair.server.remote == public

    world(pair, test)


def test_who_types_on_does_not_notice_that_a_nat_has_forgotten(pair):
    """Nothing waits for a proof of the new address: three times what comes from there is enough
    for echoes (RFC 9000 section 8.1)."""

    async def test(world, ours, theirs):
        world.network.rebind(("203.0.113.9", 61000))
        for _ in range(20):
            assert await echo_time(ours, theirs) < ROUND_TRIP + 0.01

    world(pair, test)


def test_a_key_at_the_moment_of_a_move_is_echoed_after_one_round_trip(pair):
    async def test(world, ours, theirs):
        for number in range(5):
            world.move_to(f"198.51.100.{number}")
            assert await echo_time(ours, theirs) < ROUND_TRIP + 0.01

    world(pair, test)


@pytest.mark.parametrize("is_move", [True, False])
def test_what_was_under_way_at_a_change_of_address_holds_nothing_up(pair, is_move):
    """Keys and echoes leave all the time, and those in the air are lost."""

    async def test(world, ours, theirs):
        async def chatter():
            while True:
                await ours.write(b".")
                await theirs.write(b".")
                await asyncio.sleep(0.02)

        async def read_until(channel, mark):
            got = b""
            while mark not in got:
                got += await channel.read()

        talking = asyncio.ensure_future(chatter())
        await asyncio.sleep(1)
        world.network.to_client.is_cut = True
        world.network.to_server.is_cut = is_move
        await asyncio.sleep(0.06)
        world.network.mend()
        if is_move:
            world.move_to(LTE)
        else:
            world.network.rebind(("203.0.113.9", 61000))
        begin = now()
        await ours.write(b"k")
        await read_until(theirs, b"k")
        await theirs.write(b"k")
        await read_until(ours, b"k")
        assert now() - begin < ROUND_TRIP + 0.08
        talking.cancel()

    world(pair, test)


def test_output_meets_a_client_whose_nat_has_forgotten(pair):
    """Large output that the first answers leave no room for."""

    async def test(world, ours, theirs):
        world.network.rebind(("203.0.113.9", 61000))
        await ours.write(b"cat")
        begin = now()
        assert await theirs.read() == b"cat"
        await theirs.write(bytes(50_000))
        got = 0
        while got < 50_000:
            got += len(await ours.read())
        assert now() - begin < 5 * ROUND_TRIP

    world(pair, test)


def test_the_old_path_is_taken_again_if_the_new_one_is_dead(pair):
    async def test(world, ours, theirs):
        old = world.network.client
        world.move_to(LTE)
        dead = world.network.client
        dead.close()
        world.network.to_client.target = old
        assert await echo_time(ours, theirs) < 4
        assert world.pair.client.local == CLIENT_ADDRESS

    world(pair, test)


def test_the_other_family_is_tried_when_one_is_silent(pair):
    async def test(world, ours, theirs):
        world.sources[socket.AF_INET6] = "2001:db8::1"
        old = world.network.client
        world.network.to_client.target = None
        old.close()
        assert await echo_time(ours, theirs) < 8
        assert world.opened == [SERVER_6]
        assert world.pair.client.remote == ("2001:db8::2", 22)

    world(pair, test, endpoints=(SERVER, SERVER_6))


def test_without_ipv4_ipv6_is_taken_at_once(pair):
    async def test(world, ours, theirs):
        world.sources = {socket.AF_INET6: "2001:db8::1"}
        world.migrator.network_changed()
        assert await echo_time(ours, theirs) < 2 * ROUND_TRIP + 0.3
        assert world.opened == [SERVER_6]

    world(pair, test, endpoints=(SERVER, SERVER_6))


def test_a_server_with_another_address_is_found_by_its_name(pair):
    async def test(world, ours, theirs):
        world.named = [Endpoint(socket.AF_INET, ("192.0.2.99", 22))]
        world.network.cut()
        await ours.write(b"k")
        await asyncio.sleep(4)
        assert not world.opened
        await asyncio.sleep(4)
        assert world.opened == world.named
        world.network.mend()
        assert await theirs.read() == b"k"

    world(pair, test)


def test_a_box_that_has_forgotten_us_is_passed_by_another_port(pair):
    async def test(world, ours, theirs):
        world.network.client.close()
        assert await echo_time(ours, theirs) < 15
        assert world.opened == [SERVER]

    world(pair, test)


def test_a_laptop_that_wakes_up_says_so(pair):
    async def test(world, ours, theirs):
        await asyncio.sleep(30)
        sent = world.network.to_server.sent
        world.asleep = 3600
        await asyncio.sleep(1.5)
        assert world.network.to_server.sent > sent

    world(pair, test)


def test_news_that_change_nothing_move_nothing(pair):
    async def test(world, ours, theirs):
        for _ in range(10):
            world.migrator.network_changed()
        await asyncio.sleep(60)
        assert world.pair.client.migrations == 0

    world(pair, test)


def test_an_idle_session_is_quiet(pair):
    async def test(world, ours, theirs):
        await asyncio.sleep(10)
        network = world.network
        minutes = []
        for _ in range(30):
            before = network.to_server.sent + network.to_client.sent
            await asyncio.sleep(60)
            minutes.append(network.to_server.sent + network.to_client.sent - before)
        assert max(minutes) <= 3
        assert sum(minutes) >= 10
        assert await echo_time(ours, theirs) < ROUND_TRIP + 0.01

    world(pair, test)


def test_pauses_grow_no_longer_than_the_nat_remembers(pair):
    """A NAT that forgets after a minute of quiet: it is found out once, and then kept awake."""

    async def test(world, ours, theirs):
        network, port, last = world.network, 50000, now()
        seen = network.to_server.sent
        for _ in range(3600):
            await asyncio.sleep(1)
            if network.to_server.sent != seen:
                seen, last = network.to_server.sent, now()
            elif now() - last > 60:
                port, last = port + 1, now()
                network.rebind(("203.0.113.9", port))
        assert port - 50000 <= 2
        assert world.keep_alive.interval <= 60

    world(pair, test)
