"""Flows come with the first datagram, and go when nobody uses them or too many others do."""

import asyncio

import pytest

from qsh.forward import flow_table
from qsh.forward.flow import Oversize
from qsh.forward.flow_table import IDLE_TIMEOUT, FlowTable
from qsh.wire.forward_messages import DirectUdp
from tests.pair import Conditions, Pair, run


def flows(test):
    """Run the test with a pair and a table of its client's: (pair, send), where send(key) sends on
    the flow of that key."""

    async def main():
        async with Pair(Conditions(latency=0.01)) as pair:
            await pair.log_in()
            table = FlowTable(pair.client, Oversize.STREAM)

            def send(key):
                table.send(key, [b"x"], lambda: DirectUdp("h", key, "o", 1), lambda _answers: None)

            await test(pair, send)
            table.close()

    run(main())


async def accepted(pair):
    channel = await pair.server.accept_channel()
    channel.accept()
    return channel


def test_a_flow_ends_when_it_is_idle_and_begins_anew():
    async def test(pair, send):
        send(1)
        send(2)
        idle, used = await accepted(pair), await accepted(pair)
        for _ in range(12):
            await asyncio.sleep(IDLE_TIMEOUT / 10)
            send(2)
        assert (idle.is_over, used.is_over) == (True, False)
        send(1)
        assert (await accepted(pair)).body.port == 1

    flows(test)


def test_the_longest_idle_one_gives_way(monkeypatch):
    monkeypatch.setattr(flow_table, "MAX_FLOWS", 3)

    async def test(pair, send):
        channels = []
        for key in (1, 2, 3):
            send(key)
            channels.append(await accepted(pair))
            await asyncio.sleep(1)
        send(1)
        send(4)
        await accepted(pair)
        await asyncio.sleep(1)
        assert [channel.is_over for channel in channels] == [False, True, False]

    flows(test)


@pytest.mark.parametrize("times", [1, 5])
def test_one_that_the_peer_refuses_is_asked_for_again_by_the_next_datagram(times):
    async def test(pair, send):
        for _ in range(times):
            send(1)
            channel = await pair.server.accept_channel()
            channel.refuse(2, "connection refused")
            await asyncio.sleep(1)

    flows(test)
