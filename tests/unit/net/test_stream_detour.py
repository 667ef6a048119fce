"""To a stream when UDP is silent, back when a probe was answered; on a virtual clock."""

import asyncio
import errno
import socket

import pytest

from qsh.net import stream_detour
from qsh.net.endpoint import Endpoint
from qsh.net.migration import Migrator
from qsh.net.stream_detour import FIRST_LOOK, LEAVE_AFTER, StreamDetour
from qsh.net.udp import LinkEndedError, StreamBased
from qsh.quic.engine import EngineConfig
from qsh.server.worker.client_moves import STREAM_PATIENCE
from tests.pair import SERVER_ADDRESS, Conditions, SimulatedLink, run

SERVER = Endpoint(socket.AF_INET, SERVER_ADDRESS)
DAY = EngineConfig(idle_timeout=86400.0)


class Stream(SimulatedLink, StreamBased):
    """A simulated path that counts as a stream."""


class World:
    """A pair whose client may go by a stream. `works` says whether UDP does."""

    def __init__(self, pair, monkeypatch):
        self.pair, self.network = pair, pair.network
        self.works, self.has_stream, self.dialled, self.ports = True, True, 0, 50000
        monkeypatch.setattr(stream_detour, "is_answered", self.is_answered)
        self.migrator = Migrator(
            pair.client, (SERVER,), self.open_link, find_source=lambda _: "192.0.2.1",
            has_address=lambda _: True, clock=asyncio.get_running_loop().time,
            open_stream=self.open_stream,
        )  # fmt: skip

    @property
    def is_by_stream(self):
        return self.pair.client.paths.is_stream

    async def is_answered(self, _link):
        await asyncio.sleep(0.1)
        return self.works

    def _path(self, kind):
        self.ports += 1
        link = self.network.new_path(("192.0.2.1", self.ports))
        link.__class__ = kind
        link.remote = SERVER.sockaddr
        return link

    def open_link(self, _endpoint, _bind_address):
        link = self._path(SimulatedLink)
        if not self.works:
            link.close()
        return link

    async def open_stream(self, _endpoint):
        self.dialled += 1
        await asyncio.sleep(0.1)
        if not self.has_stream:
            raise OSError(111, "refused")
        self.network.mend()
        self.stream = self._path(Stream)
        return self.stream

    def cut_stream(self):
        """As a proxy on the way does."""
        self.stream.close()
        self.network.cut()
        self.stream.fail(LinkEndedError(errno.ECONNRESET, "it was closed"))

    def block(self):
        self.works = False
        self.network.cut()


def world(pair, monkeypatch, test):
    async def main():
        async with pair(Conditions(latency=0.05), config=DAY) as two:
            await two.log_in()
            here = World(two, monkeypatch)
            here.migrator.start()
            try:
                await test(here, *await two.open_channel())
            finally:
                here.migrator.stop()

    run(main())


async def echo(ours, theirs):
    await ours.write(b"k")
    assert await theirs.read() == b"k"
    await theirs.write(b"k")
    assert await ours.read() == b"k"


def test_a_silent_path_is_left_for_a_stream_and_found_again(pair, monkeypatch):
    async def test(world, ours, theirs):
        world.block()
        begin = asyncio.get_running_loop().time()
        await echo(ours, theirs)
        assert asyncio.get_running_loop().time() - begin < LEAVE_AFTER + 2.5
        assert world.is_by_stream
        await asyncio.sleep(3 * FIRST_LOOK)
        assert world.is_by_stream
        world.works = True
        await asyncio.sleep(60)
        assert not world.is_by_stream
        await echo(ours, theirs)

    world(pair, monkeypatch, test)


@pytest.mark.parametrize("idle", [60, 600])
def test_a_stream_that_was_cut_has_a_successor_before_the_server_gives_up(
    pair, monkeypatch, idle
):
    async def test(world, ours, theirs):
        world.block()
        await echo(ours, theirs)
        await asyncio.sleep(idle)
        dialled = world.dialled
        world.cut_stream()
        await asyncio.sleep(STREAM_PATIENCE / 2)
        assert (world.dialled, world.is_by_stream) == (dialled + 1, True)
        await echo(ours, theirs)

    world(pair, monkeypatch, test)


def test_where_there_is_no_stream_it_is_asked_for_now_and_then(pair, monkeypatch):
    async def test(world, ours, theirs):
        world.has_stream = False
        world.block()
        await ours.write(b"k")
        await asyncio.sleep(100)
        assert 5 <= world.dialled <= 8
        world.works = True
        world.network.mend()
        assert await theirs.read() == b"k"

    world(pair, monkeypatch, test)


def test_an_idle_session_dials_nothing(pair, monkeypatch):
    async def test(world, ours, theirs):
        await echo(ours, theirs)
        await asyncio.sleep(600)
        assert world.dialled == 0

    world(pair, monkeypatch, test)


@pytest.mark.parametrize("times", [3])
def test_udp_that_fails_again_is_trusted_less(pair, monkeypatch, times):
    async def test(world, ours, theirs):
        pauses = []
        for _ in range(times):
            world.block()
            await echo(ours, theirs)
            assert world.is_by_stream
            left = asyncio.get_running_loop().time()
            world.works = True
            while world.is_by_stream:
                await asyncio.sleep(0.5)
            pauses.append(asyncio.get_running_loop().time() - left)
        assert pauses == sorted(pauses)
        assert pauses[-1] > 3 * pauses[0]

    world(pair, monkeypatch, test)


def test_a_detour_makes_its_connection_wait_for_another_way(pair):
    async def main():
        async with pair(Conditions(), config=DAY) as two:
            await two.log_in()
            assert two.client.paths.patience == 0
            StreamDetour(two.client, None, None, None)
            assert two.client.paths.patience > 0

    run(main())
