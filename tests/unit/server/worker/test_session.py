"""A session as its worker serves it; the test is the holder, the network and the clock are made."""

import asyncio
import socket

import pytest

from qsh.quic import engine as engines
from qsh.quic.engine import EngineConfig
from qsh.server.holder.messages import (
    TO_HOLDER,
    VERSION,
    Attached,
    Decoder,
    Mode,
    Silent,
    Start,
    data_head,
    frame,
)
from qsh.server.worker.session import SILENCE, Session
from qsh.server.worker.worker import DEFAULT_IDLE_TIMEOUT
from tests import pair as simulated
from tests.pair import Conditions, Pair, run

NEARBY = Conditions(latency=0.02)


class Told:
    """What the worker tells its holder."""

    def __init__(self, sock, session):
        self.socket = sock
        self.session = session
        self._decoder = Decoder(TO_HOLDER)

    def silences(self):
        """Whether the client was said to be silent, each time that it was said since the last
        call."""
        found = []
        while True:
            try:
                data = self.socket.recv(self._decoder.wanted)
                assert data, "the session is over"
                found += self._decoder.receive(data)
            except BlockingIOError:
                return [one.is_silent for one in found if isinstance(one, Silent)]


@pytest.fixture(params=engines.available())
def pair(request):
    """Makes a Pair of one engine."""
    return lambda: Pair(NEARBY, client_engine=request.param, server_engine=request.param,
                        config=EngineConfig(idle_timeout=DEFAULT_IDLE_TIMEOUT))  # fmt: skip


async def serve(two):
    """A session that may be resumed, and its holder."""
    await two.log_in()
    _, theirs = await two.open_channel()
    holders, workers = socket.socketpair()
    for sock in (holders, workers):
        sock.setblocking(False)
    session = Session(theirs, workers, Start(Mode.SHARE, b"c" * 16, "", True, 0, 0), b"n" * 16)
    holders.send(frame(Attached(VERSION, 0, 0, 0)))
    assert await session.attached()
    await asyncio.sleep(1)
    return Told(holders, session)


@pytest.fixture
def wakes(monkeypatch):
    """How often the loop has gone to sleep so far."""
    counted, select = [0], simulated._JumpingSelector.select

    def counting(self, timeout=None):
        counted[0] += timeout != 0
        return select(self, timeout)

    monkeypatch.setattr(simulated._JumpingSelector, "select", counting)
    return counted


def test_an_idle_session_wakes_nobody(pair, wakes):
    async def main():
        async with pair() as two:
            told = await serve(two)
            before = wakes[0]
            await asyncio.sleep(3600)
            assert told.silences() == []
            return wakes[0] - before

    assert run(main()) < 60


def test_the_holder_is_told_of_a_silent_client(pair):
    async def main():
        async with pair() as two:
            told = await serve(two)
            await asyncio.sleep(100)
            assert told.silences() == []
            two.network.cut()
            await asyncio.sleep(100)
            assert told.silences() == []  # nothing is owed
            told.socket.send(data_head(1, 0, 6) + b"output")
            await asyncio.sleep(2 * SILENCE)
            assert told.silences() == [True]
            two.network.mend()
            await asyncio.sleep(2 * SILENCE)
            assert told.silences() == [False]
            two.network.cut()
            told.socket.send(data_head(1, 6, 6) + b"output")
            await asyncio.sleep(2 * SILENCE)
            assert told.silences() == [True]

    run(main())
