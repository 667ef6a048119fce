"""One new connection for all who shared the one that was lost.

Each session asks for its own; the first one's asking dials, and all of them go on over what it
finds. Who comes when the login has been sent already goes on as soon as it stands.
"""

import asyncio
from collections.abc import Callable

from qsh.client.session.lasting_channel import Reconnect
from qsh.net.connection import Connection
from qsh.net.tasks import cancel, spawn

Begin = Callable[[Connection], None]


class Rejoining:
    """`reconnect` makes a connection for one who asks."""

    def __init__(self, reconnect: Reconnect) -> None:
        self._reconnect = reconnect
        self._waiting: list[Begin] = []
        self._late: list[Begin] = []
        self._connection: Connection | None = None
        self._dialling: asyncio.Task[None] | None = None

    async def rejoin(self, begin: Begin) -> None:
        """As Reconnect. Ends when the login stands, for all; raises the same error for all."""
        self._waiting.append(begin)
        if self._connection is not None:
            self._late.append(begin)
        if self._dialling is None:
            self._dialling = spawn(self._dial(), "new shared connection")
        dialling = self._dialling
        try:
            await asyncio.shield(dialling)
        finally:
            if begin in self._waiting:
                self._waiting.remove(begin)
                if not self._waiting:
                    await cancel(dialling)

    async def _dial(self) -> None:
        try:
            await asyncio.sleep(0)  # all hear of the loss in one turn of the loop
            await self._reconnect(self._begin)
            for begin in self._late:
                if begin in self._waiting and self._connection is not None:
                    begin(self._connection)
        finally:
            self._dialling = self._connection = None
            self._late.clear()

    def _begin(self, connection: Connection) -> None:
        self._connection = connection
        self._late.clear()
        for begin in list(self._waiting):
            begin(connection)
