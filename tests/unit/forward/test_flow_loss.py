"""Nothing is sent again beneath a UDP flow: what the path loses, the flow loses, and no more."""

import asyncio
import itertools

import pytest

from qsh.forward.flow import Flow, Oversize
from qsh.quic import engine as engines
from qsh.wire.forward_messages import DirectUdp
from tests.pair import Conditions, Pair, run

pytestmark = pytest.mark.no_cover  # it would take seven times as long

COUNT = 4000


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize(("loss", "reorder"), [(0.05, 0.0), (0.0, 0.1)])
def test_loss_and_order_are_the_paths(engine, loss, reorder):
    received: list[tuple[float, int]] = []
    sent_at: list[float] = []

    async def main():
        conditions = Conditions(latency=0.02)
        async with Pair(conditions, client_engine=engine, server_engine=engine) as pair:
            await pair.log_in()
            loop = asyncio.get_running_loop()
            channel = pair.client.open_channel(DirectUdp("h", 1, "o", 2))
            flow = Flow(channel, lambda _data: None, Oversize.DROP)
            peer = await pair.server.accept_channel()

            def deliver(payloads: list[bytes]) -> None:
                received.extend((loop.time(), int.from_bytes(p[:4], "big")) for p in payloads)

            Flow(peer, deliver, Oversize.DROP)
            peer.accept()
            await channel.opened()
            flow.opened()
            pair.network.change(loss=loss, reorder=reorder)
            for number in range(COUNT):
                sent_at.append(loop.time())
                flow.send([number.to_bytes(4, "big") + bytes(196)])
                await asyncio.sleep(0.01)  # as voice or a game
            await asyncio.sleep(1)
            assert flow.counters.sent == COUNT
            assert (flow.counters.dropped, flow.counters.by_stream) == (0, 0)

    run(main())
    numbers = [number for _, number in received]
    assert len(set(numbers)) == len(numbers)
    assert abs((COUNT - len(numbers)) / COUNT - loss) <= 0.01
    late = sum(a > b for a, b in itertools.pairwise(numbers))
    assert late <= COUNT * reorder * 1.2
    delays = [when - sent_at[number] for when, number in received]
    assert min(delays) > 0.0199
    assert sorted(delays)[len(delays) // 2] < 0.0215
