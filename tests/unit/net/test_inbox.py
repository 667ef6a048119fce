"""Inbox and Signal: nobody waits for ever."""

import asyncio

import pytest

from qsh.errors import RemoteProtocolError
from qsh.net.inbox import Inbox, Signal
from tests.pair import run


def test_items_come_in_order_and_then_the_end():
    async def main():
        inbox = Inbox(10)
        getting = asyncio.ensure_future(inbox.get())
        await asyncio.sleep(0)
        inbox.put(1)
        inbox.put(2)
        inbox.end()
        inbox.put(3)
        assert [await getting, await inbox.get(), await inbox.get()] == [1, 2, None]

    run(main())


def test_two_who_wait_get_one_each():
    async def main():
        inbox = Inbox(10)
        waiting = [asyncio.ensure_future(inbox.get()) for _ in range(3)]
        await asyncio.sleep(0)
        inbox.put(1)
        inbox.put(2)
        await asyncio.sleep(0)
        inbox.end()
        assert sorted(await asyncio.gather(*waiting), key=str) == [1, 2, None]

    run(main())


def test_a_full_inbox_is_the_peers_fault():
    inbox = Inbox(2)
    inbox.put(1)
    inbox.put(2)
    with pytest.raises(RemoteProtocolError):
        inbox.put(3)


def test_who_gives_up_waiting_leaves_nothing_behind():
    async def main():
        signal = Signal()
        waiting = asyncio.ensure_future(signal.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not signal._waiters
        signal.set_off()

    run(main())
