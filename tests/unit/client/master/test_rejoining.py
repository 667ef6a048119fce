"""All who shared a connection go on over one new one, on a virtual clock."""

import asyncio

import pytest

from qsh.client.master.rejoining import Rejoining
from qsh.errors import NetworkError
from tests.pair import run

CONNECTION = object()


class Dialler:
    """A visit's reconnect: one attempt fails, the next one takes a second."""

    def __init__(self, error=None):
        self.calls, self.error = 0, error

    async def reconnect(self, begin):
        self.calls += 1
        begin(object())  # an attempt that comes to nothing
        await asyncio.sleep(1)
        if self.error:
            raise self.error
        begin(CONNECTION)
        await asyncio.sleep(1)


def test_one_dials_and_all_begin():
    async def main():
        dialler, begun = Dialler(), [[], [], []]
        rejoin = Rejoining(dialler.reconnect).rejoin

        async def late():
            await asyncio.sleep(1.5)
            await rejoin(begun[2].append)

        await asyncio.gather(rejoin(begun[0].append), rejoin(begun[1].append), late())
        assert dialler.calls == 1
        assert all(connections[-1] is CONNECTION for connections in begun)
        assert begun[2] == [CONNECTION]
        await rejoin(begun[0].append)
        assert dialler.calls == 2

    run(main())


def test_all_hear_that_there_is_no_hope():
    async def main():
        rejoin = Rejoining(Dialler(NetworkError("no way back")).reconnect).rejoin
        tries = [rejoin(lambda _connection: None) for _ in range(3)]
        ended = await asyncio.gather(*tries, return_exceptions=True)
        assert [str(error) for error in ended] == ["no way back"] * 3

    run(main())


def test_who_leaves_is_not_waited_for():
    async def main():
        dialler, begun = Dialler(), []
        rejoin = Rejoining(dialler.reconnect).rejoin
        leaving = asyncio.ensure_future(rejoin(begun.append))
        await asyncio.sleep(0.5)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await asyncio.sleep(5)
        assert CONNECTION not in begun

    run(main())
