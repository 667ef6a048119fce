"""Datagrams that do not fit the path: both ends of a flow go by what one of them wants."""

import asyncio

import pytest

from qsh.forward.flow import Flow, Oversize
from qsh.quic import engine as engines
from qsh.wire.forward_messages import DirectUdp
from tests.pair import Conditions, Pair, run


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("dropper", [0, 1])
def test_either_end_may_have_both_drop_them(engine, dropper):
    async def main():
        conditions = Conditions(latency=0.01)
        async with Pair(conditions, client_engine=engine, server_engine=engine) as pair:
            await pair.log_in()
            delivered = [[], []]
            wishes = [Oversize.DROP if end == dropper else Oversize.STREAM for end in (0, 1)]
            channel = pair.client.open_channel(DirectUdp("h", 1, "o", 2))
            ours = Flow(channel, delivered[0].extend, wishes[0])
            peer = await pair.server.accept_channel()
            theirs = Flow(peer, delivered[1].extend, wishes[1])
            peer.accept()
            theirs.opened()
            await channel.opened()
            ours.opened()
            await asyncio.sleep(1)
            for flow in (ours, theirs):
                flow.send([bytes(60_000), b"small"])
            await asyncio.sleep(1)
            assert delivered == [[b"small"], [b"small"]]
            assert [flow.counters.dropped for flow in (ours, theirs)] == [1, 1]

    run(main())
