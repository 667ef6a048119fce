"""Keys beside a full transfer by the same connection: its queue on the path stays short."""

import asyncio
import itertools

import pytest

from qsh.quic.engine import available
from tests.pair import Conditions, Pair, run

RTT = 0.05
RATE = 2_500_000
"""Bytes per second: 20 Mbit/s."""
QUEUE = 0.1
"""Seconds that may wait in the path's queue."""
PATH = Conditions(latency=RTT / 2, rate=RATE, queue=int(RATE * QUEUE))
WARM_UP = 1.5
KEYS = 50
PAUSE = 0.03

pytestmark = [
    pytest.mark.no_cover,  # it would take seven times as long
    pytest.mark.skipif("quinn" not in available(), reason="the native engine's promise"),
]


async def type_beside(bulk, keyboard, shell):
    """Seconds from each key to its echo, and the bulk's rate meanwhile."""
    source, target = bulk
    arrived = 0

    async def pour():
        while True:
            await source.write(bytes(65536))

    async def drain():
        nonlocal arrived
        while data := await target.read():
            arrived += len(data)

    async def echo():
        while data := await shell.read():
            await shell.write(data)

    tasks = [asyncio.ensure_future(work()) for work in (pour, drain, echo)]
    loop = asyncio.get_running_loop()
    await asyncio.sleep(WARM_UP)
    begin, before, seconds = loop.time(), arrived, []
    for _ in range(KEYS):
        pressed = loop.time()
        await keyboard.write(b"k")
        await keyboard.read()
        seconds.append(loop.time() - pressed)
        await asyncio.sleep(PAUSE)
    rate = (arrived - before) / (loop.time() - begin)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(seconds), rate


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_key_waits_little_and_the_bulk_goes_on(way):
    async def main():
        async with Pair(PATH, client_engine="quinn", server_engine="quinn") as pair:
            await pair.log_in()
            bulk = await pair.open_channel()
            keyboard, shell = await pair.open_channel()
            for end in (keyboard, shell):
                end.set_priority(2)
            return await type_beside(bulk if way == "up" else bulk[::-1], keyboard, shell)

    seconds, rate = run(main())
    assert seconds[-2] <= RTT + 0.06
    assert seconds[KEYS // 2] <= RTT + 0.04
    assert rate > 0.9 * RATE


def test_without_keys_a_transfer_uses_the_queue():
    """It is for who types: else the window is the controller's, which shares with others."""

    async def main():
        async with Pair(PATH, client_engine="quinn", server_engine="quinn") as pair:
            await pair.log_in()
            client, server = await pair.open_channel()
            loop = asyncio.get_running_loop()
            end, windows = loop.time() + 6, []

            async def pour():
                while True:
                    await server.write(bytes(65536))

            pouring = asyncio.ensure_future(pour())
            while loop.time() < end:
                await client.read()
                windows.append(server.connection.stats.congestion_window)
            pouring.cancel()
            return windows

    windows = run(main())
    assert max(itertools.islice(windows, len(windows) // 2, None)) > RATE * (RTT + 0.08)
