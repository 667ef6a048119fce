"""How a session on a shared connection goes on when that is lost and cannot be had again.

All who share it wait for one new connection first, by the user's keys. Where the server wants the
user's hand for that, a password or a touch, each session that has a ticket goes on over a
connection of its own: a ticket is good for its one session, so nobody else can ride on that.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.dial.connect import follow_network
from qsh.client.session.lasting_channel import Reconnect
from qsh.config.client_settings import ClientSettings
from qsh.errors import LoginError
from qsh.net.connection import Connection
from qsh.net.endings import loss_error
from qsh.net.tasks import spawn
from qsh.record import record

if TYPE_CHECKING:
    from qsh.client.host.proofs import HostProof
    from qsh.client.login.ticket import Ticket
    from qsh.client.session.resume import Resumption
    from qsh.net.migration import Migrator

_log = log.logger("mux")

Means = Callable[["Ticket", Callable[[], bool]], "Resumption"]
"""Gives the way to log in by that ticket; the other says whether there is a terminal."""


@record
class Ways:
    """What all sessions of a shared connection have: `shared` replaces it for all, `means` is for
    one alone, and `alone` is called when the first one takes that."""

    settings: ClientSettings
    shared: Reconnect
    means: Means
    alone: Callable[[], None]


class WayBack:
    """Of one session; `number` gives its number once the server keeps it, and nothing before."""

    def __init__(self, ways: Ways, number: Callable[[], bytes],
                 has_terminal: Callable[[], bool]) -> None:
        from qsh.client.login.ticket import Ticket

        self._ways = ways
        self._offering: asyncio.Task[None] | None = None
        self._ticket = Ticket(number)
        self._has_terminal = has_terminal
        self._resumption: Resumption | None = None
        self._connection: Connection | None = None
        self._network: Migrator | None = None

    def offer_ticket(self, connection: Connection) -> None:
        """The session is on its way on this connection."""
        self._offering = spawn(self._ticket.offer(connection), "session ticket")

    async def reconnect(self, begin: Callable[[Connection], None]) -> None:
        """As Reconnect."""
        if self._connection is None:
            try:
                await self._ways.shared(begin)
                return
            except LoginError as error:
                if not self._ticket.is_offered:
                    raise
                _log.debug1("%s: going on by the session's ticket", error)
                self._ways.alone()
        await self._go_alone(begin)

    async def _go_alone(self, begin: Callable[[Connection], None]) -> None:
        from qsh.client.session.resume import may_resume

        settings, before = self._ways.settings, self._connection
        if before is not None and before.is_over:
            closed = await before.wait_closed()
            if not may_resume(settings, closed, has_terminal=self._has_terminal()):
                raise loss_error(closed, before.name)
        self._resumption = self._resumption or self._ways.means(self._ticket, self._has_terminal)
        self._leave()
        self._connection = await self._resumption.run(_prepare_nothing, begin)
        self._network = follow_network(self._connection, settings,
                                       is_interactive=self._has_terminal())

    def close(self) -> None:
        """The session is over: end its own connection, if it has one."""
        if self._offering is not None:
            self._offering.cancel()
        self._leave()

    def _leave(self) -> None:
        if self._network is not None:
            self._network.stop()
        if self._connection is not None:
            self._connection.close()


async def _prepare_nothing(_connection: Connection, _proof: "HostProof") -> None:
    """The shared connection's forwards are lost with it."""
