"""Tasks that crash are heard of, threads never hold the program."""

import asyncio
import threading

import pytest

from qsh.errors import NetworkError
from qsh.net.tasks import cancel, in_thread, spawn
from tests.pair import run


def test_a_crash_is_reported_by_name(capsys):
    async def crash():
        raise ValueError("bug")

    async def main():
        await asyncio.wait([spawn(crash(), "the pump")])
        await asyncio.sleep(0)

    run(main())
    assert "internal error in the pump: ValueError: bug" in capsys.readouterr().err


def test_an_expected_error_is_no_crash(capsys):
    async def fail():
        raise NetworkError("gone")

    async def main():
        with pytest.raises(NetworkError):
            await spawn(fail(), "x")
        await asyncio.sleep(0)

    run(main())
    assert not capsys.readouterr().err


def test_cancel_waits_until_they_have_ended():
    ended = []

    async def work():
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def main():
        tasks = [spawn(work(), "a"), spawn(work(), "b")]
        await asyncio.sleep(0)
        await cancel(*tasks)
        assert ended == [True, True]
        await cancel()

    run(main())


def test_a_blocking_call_in_a_thread():
    async def main():
        assert await in_thread(max, 1, 2) == 2
        with pytest.raises(ZeroDivisionError):
            await in_thread(divmod, 1, 0)

    run(main())


def test_a_call_that_hangs_is_left_behind():
    release = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_thread(release.wait)

    asyncio.run(main())
    release.set()
