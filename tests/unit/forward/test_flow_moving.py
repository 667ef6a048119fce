"""A UDP flow lives on its channel, not on an address: it goes on from wherever the client is."""

import asyncio

import pytest

from qsh.forward.flow import Flow, Oversize
from qsh.quic import engine as engines
from qsh.wire.forward_messages import DirectUdp
from tests.pair import Conditions, Pair, run

pytestmark = pytest.mark.no_cover  # it would take seven times as long

EVERY = 0.02
OUTAGE = 20.0


async def flow_pair(pair, delivered):
    """Both ends of an open flow. What arrives goes to the list of its end."""
    await pair.log_in()
    channel = pair.client.open_channel(DirectUdp("h", 1, "o", 2))
    ours = Flow(channel, delivered[0].extend, Oversize.STREAM)
    peer = await pair.server.accept_channel()
    theirs = Flow(peer, delivered[1].extend, Oversize.STREAM)
    peer.accept()
    await channel.opened()
    for flow in (ours, theirs):
        flow.opened()
    return ours, theirs


async def talk(flows, delivered, seconds):
    """How many of how many datagrams arrived, both ways, in so many seconds."""
    before = sum(map(len, delivered))
    count = int(seconds / EVERY)
    for number in range(count):
        for flow in flows:
            flow.send([number.to_bytes(4, "big") + bytes(156)])
        await asyncio.sleep(EVERY)
    await asyncio.sleep(0.5)
    return sum(map(len, delivered)) - before, 2 * count


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("outage", [0.0, OUTAGE])
def test_a_flow_follows_the_client(engine, outage):
    async def main():
        delivered = [], []
        conditions = Conditions(latency=0.03)
        async with Pair(conditions, client_engine=engine, server_engine=engine) as pair:
            flows = await flow_pair(pair, delivered)
            assert await talk(flows, delivered, 2) == (200, 200)
            for number in range(3):
                pair.client.paths.use(pair.network.new_path((f"192.0.2.{50 + number}", 4000)))
                pair.client.moved()
                arrived, sent = await talk(flows, delivered, 2)
                assert arrived >= 0.8 * sent  # what the server sends to the old address is lost
                assert await talk(flows, delivered, 2) == (200, 200)
            if outage:
                pair.network.cut()
                assert await talk(flows, delivered, outage) == (0, 2 * int(outage / EVERY))
                pair.network.mend()
                await asyncio.sleep(1)
                arrived, sent = await talk(flows, delivered, 2)
                assert arrived >= 0.9 * sent
            counters = [flow.counters for flow in flows]
            assert all(c.by_stream == 0 for c in counters)

    run(main())
