"""Both directions full, and datagrams beside them, on bad paths: nothing ever stands still.

    QSH_SOAK_SEEDS=40 python -m pytest -n 2 tests/unit/net/test_soak.py     the long one
"""

import asyncio
import os
import random

import pytest

from tests.pair import Conditions, Pair, run
from tests.unit.quic.simulation import ENGINE_PAIRS

pytestmark = pytest.mark.no_cover  # it would take seven times as long

SEEDS = int(os.environ.get("QSH_SOAK_SEEDS", "2"))
SECONDS = 6.0
"""Of virtual time, after the first second: slow start has to find the path first."""
RATE = 1_250_000
"""Bytes per second: 10 Mbit/s."""
STALL = 1.0
PIECE = bytes(65536)
HARD = 35
"""A seed whose slow direction once kept the other one's window adjustments waiting for a second."""


class Watch:
    """How long a direction stood still at most."""

    def __init__(self):
        self.count, self.longest = 0, 0.0
        self._since = asyncio.get_running_loop().time()

    def note(self, count):
        now = asyncio.get_running_loop().time()
        self.longest = max(self.longest, now - self._since)
        self._since, self.count = now, self.count + count


async def pour(channel):
    while True:
        await channel.write(PIECE)


async def drain(channel, watch):
    while data := await channel.read():
        watch.note(len(data))


async def chatter(channel):
    while True:
        channel.send_datagrams([b"datagram" * 20])
        await asyncio.sleep(0.02)


def conditions(seed):
    chance = random.Random(seed)
    latency = chance.uniform(0.01, 0.05)
    return Conditions(latency=latency, loss=chance.uniform(0, 0.01), rate=RATE,
                      queue=int(RATE * 0.1))  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [*range(SEEDS), *([] if SEEDS > HARD else [HARD])])
@pytest.mark.parametrize("engines", ENGINE_PAIRS, ids="-".join)
def test_nothing_stands_still_for_a_second(engines, seed):
    async def main():
        client, server = engines
        async with Pair(conditions(seed), seed=seed, client_engine=client,
                        server_engine=server) as pair:  # fmt: skip
            await pair.log_in()
            ends = await pair.open_channel()
            watches, arrived = [Watch() for _ in ends], [0, 0]
            for index, end in enumerate(ends):
                def count(payloads, index=index):
                    arrived[index] += len(payloads)
                end.on_datagrams = count
            tasks = [asyncio.ensure_future(work) for end, watch in zip(ends, watches, strict=True)
                     for work in (pour(end), drain(end, watch), chatter(end))]  # fmt: skip
            await asyncio.sleep(1 + SECONDS)
            for watch in watches:
                watch.note(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return watches, arrived

    watches, arrived = run(main())
    for watch in watches:
        assert watch.longest < STALL
        assert watch.count > RATE * SECONDS / 20
    assert min(arrived) > 100
