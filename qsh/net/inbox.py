"""A queue from callbacks to awaiting tasks, with an end.

asyncio.Queue has no end before Python 3.13, and a waiter must never outlive the connection it
waits for.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from qsh.errors import RemoteProtocolError

T = TypeVar("T")


class Signal:
    """Wakes everybody who waits, once each time it is set off."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until it is set off next. Check what you wait for before and after."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def set_off(self) -> None:
        """Wake them."""
        if not self._waiters:
            return
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class Inbox(Generic[T]):
    """Items in the order they came; after `end` what is left can still be taken.

    At most `limit` wait: a peer that sends more than anybody looks at breaks the protocol.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[T] = deque()
        self._changed = Signal()
        self._ended = False

    def put(self, item: T) -> None:
        """Add an item; dropped after the end. Raises RemoteProtocolError beyond the limit."""
        if not self._ended:
            if len(self._items) >= self._limit:
                raise RemoteProtocolError("too much at once")
            self._items.append(item)
            self._changed.set_off()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._changed.set_off()

    async def get(self) -> T | None:
        """The next item; None after the end."""
        while not self._items:
            if self._ended:
                return None
            await self._changed.wait()
        return self._items.popleft()
