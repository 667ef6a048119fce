"""Networks that go away and come back, on a virtual clock; over every engine."""

import asyncio

import pytest

from tests.unit.net.world import ROUND_TRIP, WIFI, echo_time, now, world

pytestmark = pytest.mark.no_cover  # it would take seven times as long


def test_chaff_that_went_into_an_outage_does_not_hold_up_the_next_key(pair):
    """Keys and chaff share a stream: at their end the key waits for all of them."""

    async def test(world, ours, theirs):
        await echo_time(ours, theirs)
        for number in range(3):
            for place in range(85):
                if place == 10:
                    world.network.cut()
                    world.move_to(None)
                ours.ping(b"\0")
                await asyncio.sleep(0.02)
            await asyncio.sleep(1.5)
            world.network.mend()
            world.move_to(f"198.51.100.{number}")
            await asyncio.sleep(0.005)
            assert await echo_time(ours, theirs) < ROUND_TRIP + 0.02
            await asyncio.sleep(3)

    world(pair, test)


@pytest.mark.parametrize("seconds", [1, 30, 120, 3600])
def test_after_a_blackout_the_key_typed_in_it_is_echoed_at_once(pair, seconds):
    async def test(world, ours, theirs):
        await echo_time(ours, theirs)
        world.network.cut()
        await ours.write(b"k")
        await asyncio.sleep(seconds)
        begin = now()
        world.network.mend()
        assert await theirs.read() == b"k"
        await theirs.write(b"k")
        assert await ours.read() == b"k"
        assert now() - begin < 2 * ROUND_TRIP + max(0.5, seconds / 1000)

    world(pair, test)


def test_a_word_typed_without_an_address_is_echoed_one_round_trip_after_the_next(pair):
    """Every time: not only at the first, when no losses are known yet."""

    async def test(world, ours, theirs):
        await echo_time(ours, theirs)
        for number in range(3):
            await asyncio.sleep(3)
            world.network.cut()
            world.move_to(None)
            for place in range(5):
                await ours.write(b"hello"[place : place + 1])
                await asyncio.sleep(0.1)
            await asyncio.sleep(2.5)
            begin = now()
            world.network.mend()
            world.move_to(f"198.51.100.{number}")
            for other in (theirs, ours):
                got = b""
                while len(got) < 5:
                    got += await other.read()
                if other is theirs:
                    await theirs.write(got)
            assert got == b"hello"
            assert now() - begin < ROUND_TRIP + 0.01

    world(pair, test)


def test_the_first_packet_after_half_an_hour_may_be_lost(pair):
    """Probes are rare by then, but there is news of the network."""

    async def test(world, ours, theirs):
        await echo_time(ours, theirs)
        world.network.cut()
        world.move_to(None)
        await ours.write(b"k")
        await asyncio.sleep(1800)
        begin = now()
        world.move_to(WIFI)
        await asyncio.sleep(0.01)
        world.network.mend()
        assert await theirs.read() == b"k"
        assert now() - begin < 0.5

    world(pair, test)


def test_output_of_a_blackout_arrives_without_a_key(pair):
    async def test(world, ours, theirs):
        world.network.cut()
        await theirs.write(b"build done")
        await asyncio.sleep(60)
        begin = now()
        world.network.mend()
        assert await ours.read() == b"build done"
        assert now() - begin < 2 * ROUND_TRIP + 0.5

    world(pair, test)


def test_the_first_packet_leaves_within_a_tenth_of_a_second_of_the_networks_return(pair):
    async def test(world, ours, theirs):
        world.sources.clear()
        world.network.cut()
        await ours.write(b"k")
        world.migrator.network_changed()
        await asyncio.sleep(1800)
        begin = now()
        world.network.mend()
        world.move_to(WIFI)
        assert await theirs.read() == b"k"
        assert now() - begin < 0.1 + 1.5 * ROUND_TRIP

    world(pair, test)


@pytest.mark.parametrize("hours", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_dead_network_does_not_end_the_session(pair, hours):
    async def test(world, ours, theirs):
        world.network.cut()
        await ours.write(b"k")
        await asyncio.sleep(hours * 3600)
        assert not world.pair.client.is_over
        assert not world.pair.server.is_over

    world(pair, test)
