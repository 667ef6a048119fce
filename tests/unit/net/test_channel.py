"""Channels over a simulated network: data both ways, back-pressure, ends."""

import asyncio
import random

import pytest

from qsh.errors import NetworkError
from qsh.wire.start_messages import ExecRequest
from tests.pair import Conditions, read_all, run, write_all

pytestmark = pytest.mark.no_cover  # it would take seven times as long


class Spy:
    """Another object but for some of its methods."""

    def __init__(self, other, **methods):
        self._other = other
        self.__dict__.update(methods)

    def __getattr__(self, name):
        return getattr(self._other, name)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_loss_and_disorder_do_not_change_a_byte(pair, seed):
    conditions = Conditions(latency=0.01, loss=0.05, reorder=0.05, duplicate=0.02)
    up, down = random.Random(seed).randbytes(300_000), random.Random(-seed).randbytes(200_000)

    async def main():
        async with pair(conditions, seed=seed) as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            received = await asyncio.gather(
                read_all(theirs), read_all(ours), write_all(ours, up), write_all(theirs, down)
            )
            assert received[:2] == [up, down]

    run(main())


def test_stderr_is_apart_from_stdout(pair):
    async def main():
        async with pair() as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            await theirs.write(b"out")
            await theirs.write(b"err", 1)
            theirs.write_eof()
            assert [await read_all(ours), await read_all(ours, 1)] == [b"out", b"err"]

    run(main())


def test_a_reader_who_stops_costs_its_window_and_stalls_nobody(pair):
    async def main():
        async with pair(Conditions(latency=0.001)) as both:
            await both.log_in()
            stopped, unread = await both.open_channel()
            flood = asyncio.ensure_future(stopped.write(bytes(8 << 20)))
            await asyncio.sleep(5)
            assert not flood.done()
            assert unread.unread == unread.wire.window == 2 << 20
            ours, theirs = await both.open_channel()
            await ours.write(b"still here")
            assert await theirs.read() == b"still here"
            reading = asyncio.ensure_future(read_all(unread))
            await flood
            stopped.write_eof()
            assert len(await reading) == 8 << 20

    run(main())


def test_the_window_grows_on_a_long_fat_path(pair):
    async def main():
        async with pair(Conditions(latency=0.3)) as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            await asyncio.gather(write_all(ours, bytes(10 << 20)), read_all(theirs))
            assert theirs.wire.window >= 4 << 20
            quiet, _ = await both.open_channel()
            assert quiet.wire.window == 2 << 20

    run(main())


def test_all_windows_together_stay_within_a_budget(pair, monkeypatch):
    monkeypatch.setattr("qsh.net.connection.WINDOWS", 3 << 20)

    async def main():
        async with pair(Conditions(latency=0.3)) as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            await asyncio.gather(write_all(ours, bytes(5 << 20)), read_all(theirs))
            assert theirs.wire.window == 2 << 20

    run(main())


def test_the_engine_holds_no_more_than_it_can_send_soon(pair):
    async def main():
        async with pair(Conditions(latency=0.01, rate=1_000_000)) as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            sending = asyncio.ensure_future(write_all(ours, bytes(2 << 20)))
            reading = asyncio.ensure_future(read_all(theirs))
            worst = window = 0
            while not sending.done():
                worst = max(worst, both.client.engine.stream_unsent(ours.wire.stream_id))
                window = max(window, both.client.stats.congestion_window)
                await asyncio.sleep(0.01)
            assert worst <= max(256 * 1024, 2 * window) + 100 < 2 << 20
            await reading

    run(main())


def test_an_aborted_channel_ends_alone(pair):
    async def main():
        async with pair() as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            await theirs.write(b"before")
            assert await ours.read() == b"before"
            theirs.abort(7)
            with pytest.raises(NetworkError, match="aborted"):
                await ours.read()
            with pytest.raises(NetworkError):
                await ours.write(b"x")
            assert await both.open_channel()

    run(main())


def test_a_reader_who_stops_uses_up_nothing_that_others_share(pair):
    async def main():
        async with pair(Conditions(latency=0.001)) as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            consumed, engine = [], both.server.engine
            consume = engine.consume
            both.server._driver.engine = Spy(engine, consume=lambda stream_id, count: (
                consumed.append(count), consume(stream_id, count)
            ))  # fmt: skip
            flood = asyncio.ensure_future(ours.write(bytes(4 << 20)))
            await asyncio.sleep(5)
            assert theirs.unread == 2 << 20
            assert sum(consumed) >= 2 << 20
            flood.cancel()

    run(main())


def test_what_a_closed_channel_never_read_is_dropped(pair):
    async def main():
        async with pair(Conditions(latency=0.001)) as both:
            await both.log_in()
            for _ in range(3):
                ours, theirs = await both.open_channel()
                await ours.write(bytes(1 << 20))
                await asyncio.sleep(1)
                theirs.close()
                await ours.wait_closed()
            await asyncio.sleep(1)
            assert not both.server.channels

    run(main())


def test_datagrams_of_a_channel(pair):
    async def main():
        async with pair() as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            got = []
            theirs.on_datagrams = got.extend
            largest = ours.max_datagram
            assert 1000 < largest < 1200 or ours.connection.engine_name != "aioquic"
            assert ours.send_datagrams([b"a" * largest]) == 1
            await asyncio.sleep(1)
            assert got == [b"a" * largest]

    run(main())


def test_a_flood_of_unwanted_requests_ends_the_connection(pair):
    async def main():
        async with pair() as both:
            await both.log_in()
            ours, _ = await both.open_channel()
            for _ in range(1100):
                ours.send_request(ExecRequest(b"x"))
            assert (await both.client.wait_closed()).reason == "too much at once"

    run(main())


def test_what_one_channel_has_lost_holds_up_no_other(pair):
    """Sessions that share a master's connection: no head-of-line blocking between them."""
    latency = 0.05

    async def arrival(channel, text):
        assert await channel.read() == text
        return asyncio.get_running_loop().time()

    async def main():
        async with pair(Conditions(latency=latency)) as both:
            await both.log_in()
            unlucky, its_end = await both.open_channel()
            other, others_end = await both.open_channel()
            await asyncio.sleep(1)
            both.network.to_server.is_cut = True
            await unlucky.write(b"lost at first")
            await asyncio.sleep(0.001)
            both.network.to_server.is_cut = False
            sent = asyncio.get_running_loop().time()
            await other.write(b"in time")
            lost, in_time = await asyncio.gather(
                arrival(its_end, b"lost at first"), arrival(others_end, b"in time")
            )
            assert in_time - sent < latency + 0.005
            assert lost - sent > 2 * latency

    run(main())


def test_sessions_of_one_connection_are_as_quick_as_alone_where_packets_are_lost(pair):
    """Beside a channel that always has something to repair, another one's small messages come as
    fast as its own losses allow."""
    latency, loss = 0.05, 0.05

    async def ping(ours, theirs, count):
        took = []
        for number in range(count):
            began = asyncio.get_running_loop().time()
            await ours.write(b"%03d" % number)
            assert await theirs.read() == b"%03d" % number
            took.append(asyncio.get_running_loop().time() - began)
            await asyncio.sleep(0.05)
        return sorted(took)

    async def main():
        async with pair(Conditions(latency=latency, loss=loss, rate=1_250_000)) as both:
            await both.log_in()
            bulk, sink = await both.open_channel()
            small, small_end = await both.open_channel()
            small.set_priority(2)
            pouring = asyncio.ensure_future(write_all(bulk, bytes(20_000_000)))
            draining = asyncio.ensure_future(read_all(sink))
            await asyncio.sleep(1)
            took = await ping(small, small_end, 60)
            assert not pouring.done()
            for task in (pouring, draining):
                task.cancel()
            assert took[len(took) // 2] < latency + 0.06
            within = sum(one < 2 * latency + 0.06 for one in took)
            assert within > 0.8 * len(took)

    run(main())
