"""Typing while packets are lost, on a virtual clock; over every engine."""

import asyncio
import statistics

import pytest

from qsh.net.aside import FILL_AGAIN
from qsh.wire.aside import LARGE_WANTED
from tests.pair import Conditions, run

ROUND_TRIP = 0.1
LOSSY = Conditions(latency=ROUND_TRIP / 2, loss=0.157)


async def keys(ours, theirs, count, pace):
    """Seconds until each of so many keys comes back, typed one every `pace` seconds."""
    loop, times = asyncio.get_running_loop(), []

    async def far_side():
        while data := await theirs.read():
            await theirs.write(data)

    echoing = asyncio.ensure_future(far_side())
    for _ in range(count):
        begin = loop.time()
        await ours.write(b"k")
        assert await ours.read() == b"k"
        times.append(loop.time() - begin)
        await asyncio.sleep(pace)
    echoing.cancel()
    return times


def test_half_of_the_keys_come_back_at_once_where_three_of_ten_are_lost(pair):
    async def main():
        async with pair(LOSSY, seed=7) as two:
            await two.log_in()
            ours, theirs = await two.open_channel()
            times = (await keys(ours, theirs, 240, 0.15))[40:]
            assert statistics.median(times) < 1.2 * ROUND_TRIP
            assert statistics.quantiles(times, n=20)[-1] < 4 * ROUND_TRIP

    run(main())


def test_without_loss_no_packet_is_added(pair):
    async def main():
        async with pair(Conditions(latency=ROUND_TRIP / 2)) as two:
            await two.log_in()
            ours, theirs = await two.open_channel()
            before = two.network.to_server.sent
            await keys(ours, theirs, 20, 0.15)
            assert two.network.to_server.sent - before <= 2 * 20 + 6  # and probes of the MTU

    run(main())


def test_copies_are_few(pair):
    async def main():
        async with pair(LOSSY, seed=3) as two:
            await two.log_in()
            ours, theirs = await two.open_channel()
            await keys(ours, theirs, 20, 0.15)
            before = two.network.to_server.sent
            await keys(ours, theirs, 50, 0.15)
            assert two.network.to_server.sent - before <= 7 * 50

    run(main())


@pytest.mark.parametrize("lost", ["client", "server"])
def test_strange_datagrams_beside_the_flows_hurt_nobody(pair, lost):
    async def main():
        async with pair() as two:
            await two.log_in()
            ours, theirs = await two.open_channel()
            sender = getattr(two, lost).engine
            words = "02 0200 03 0304 03040078 03ff"
            for strange in map(bytes.fromhex, words.split()):
                sender.send_datagrams([strange])
            assert await keys(ours, theirs, 3, 0.0)

    run(main())


def test_a_client_makes_few_large_packets_however_often_it_is_asked(pair):
    async def main():
        async with pair() as two:
            await two.log_in()
            await two.open_channel()
            two.network.client.flights.clear()
            for _ in range(50):
                two.server.engine.send_datagrams([LARGE_WANTED])
                await asyncio.sleep(0)
            two.server.push()
            await asyncio.sleep(FILL_AGAIN / 2)
            await asyncio.sleep(1)
            assert sum(size for _, size in two.network.client.flights) < 3 * 1500

    run(main())
