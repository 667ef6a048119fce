"""The queue of datagrams: bounded, and never the whole of a path that streams want too."""

import asyncio
from types import SimpleNamespace

import pytest

from qsh.net.datagrams import LEAST, DatagramQueue
from qsh.net.tasks import spawn
from qsh.quic import engine as engines
from tests.pair import Conditions, Pair, run

pytestmark = pytest.mark.no_cover  # it would take seven times as long


class Engine:
    """As much of an engine as the queue looks at; sends nothing on its own."""

    def __init__(self, window=12_000):
        self.max_datagram_payload = 1200
        self.given = []
        self.stats = SimpleNamespace(
            congestion_window=window, bytes_in_flight=0, bytes_sent=0, datagram_size=1000
        )

    def send_datagrams(self, datagrams):
        self.given.extend(datagrams)

    def send_all(self):
        """All that was given leaves, and is not acknowledged yet."""
        count = sum(map(len, self.given))
        self.stats.bytes_sent += count
        self.stats.bytes_in_flight += count
        self.given.clear()


def filled(engine, count, size=1000):
    queue = DatagramQueue(engine)
    queue.put([bytes(size)] * count)
    return queue


def test_the_engine_gets_what_it_can_send():
    engine = Engine()
    queue = filled(engine, 50)
    for _ in range(2):
        queue.hand_over(is_shared=False)
        assert len(engine.given) == 13  # one that the window holds back, so that it may grow
    engine.send_all()
    queue.hand_over(is_shared=False)
    assert not engine.given
    engine.stats.bytes_in_flight = 0
    queue.hand_over(is_shared=False)
    assert len(engine.given) == 13


def test_where_streams_have_more_it_gets_half_of_what_is_sent():
    engine = Engine()
    queue = filled(engine, 50)
    queue.hand_over(is_shared=True)
    assert not engine.given
    for _ in range(10):
        engine.stats.bytes_sent += 2000
        engine.given.clear()
        queue.hand_over(is_shared=True)
        assert len(engine.given) == 1


def test_with_nothing_under_way_at_least_one_leaves():
    engine = Engine(window=900)
    filled(engine, 5).hand_over(is_shared=False)
    assert engine.given


def test_what_does_not_fit_the_queue_is_dropped():
    queue = DatagramQueue(Engine())
    assert queue.put([bytes(LEAST // 2)] * 3) == 2
    assert queue.dropped == 1


def test_what_no_longer_fits_the_path_is_dropped():
    engine = Engine()
    queue = filled(engine, 3)
    engine.max_datagram_payload = 500
    queue.hand_over(is_shared=False)
    assert (engine.given, queue.dropped) == ([], 3)


@pytest.mark.parametrize("engine", engines.available())
def test_a_flood_starves_no_stream_and_a_stream_no_datagrams(engine):
    """A path of 1 MB/s; either alone could fill it. Both get a good part of it."""
    counted = {"stream": 0, "datagrams": 0}

    async def main():
        conditions = Conditions(latency=0.02, rate=1_000_000)
        async with Pair(conditions, client_engine=engine, server_engine=engine) as pair:
            await pair.log_in()
            (stream, taken), (flow, given) = [await pair.open_channel() for _ in range(2)]
            given.on_datagrams = lambda payloads: counted.update(
                datagrams=counted["datagrams"] + sum(map(len, payloads))
            )
            tasks = [spawn(write(stream), "writer"), spawn(read(taken), "reader")]
            for _ in range(4000):  # 4 s of twice what the path carries
                flow.send_datagrams([bytes(1000)] * 2)
                await asyncio.sleep(0.001)
            for task in tasks:
                task.cancel()

    async def write(channel):
        while True:
            await channel.write(bytes(100_000))

    async def read(channel):
        while data := await channel.read():
            counted["stream"] += len(data)

    run(main())
    assert counted["stream"] > 800_000
    assert counted["datagrams"] > 800_000
