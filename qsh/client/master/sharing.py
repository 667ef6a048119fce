"""Sharing this visit's connection with later ones: ControlMaster, ControlPath, ControlPersist.

What the visit has to do with its master: to begin after the login, and to end when nobody rides
any more. With ControlPersist the visit runs in a process of its own, and the one that the user
started is its first passenger (client.persist).
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.login.askpass import Askpass, CannotAskError
from qsh.client.master import mux_wire
from qsh.client.master.client import Boarding
from qsh.client.master.master import Master, NotListeningError
from qsh.client.master.passenger import PassengerSession
from qsh.client.master.rejoining import Rejoining
from qsh.client.master.way_back import Means, Ways
from qsh.client.session.lasting_channel import Reconnect
from qsh.config.client_settings import ClientSettings
from qsh.errors import EXIT_OWN_ERROR
from qsh.net.connection import Connection

if TYPE_CHECKING:
    from qsh.client.forwards.forwards import Forwards
    from qsh.client.master.persist import FirstPassenger
    from qsh.client.plan import SessionPlan
    from qsh.client.visit import Visit

_log = log.logger("mux")


def run_shared(visit: "Visit", settings: ClientSettings, plan: "SessionPlan | None",
               work: Callable[[Callable[[], None]], int], *, has_stdio: bool) -> int:
    """The visit as a master, in the process that ControlPersist and -f want; the exit status.
    Raises QshError."""
    visit.sharing = Sharing(settings, visit.reconnect, visit.resumption)
    persists = settings.control_persist is not None
    if settings.fork_after_authentication or (persists and plan is None and not has_stdio):
        from qsh.client.background import run_in_background

        return run_in_background(work, keeps_output=plan is not None)
    if not persists:
        return work(lambda: None)
    from qsh.client.master.persist import FirstPassenger, run_persistent

    def work_apart(first: FirstPassenger) -> int:
        visit.sharing = Sharing(settings, visit.reconnect, visit.resumption, first)
        return work(first.detach)

    return run_persistent(
        work_apart, settings.original_host, has_session=plan is not None,
        has_terminal=plan is not None and plan.pty is not None,
    )  # fmt: skip


class Sharing:
    """The sharing of one visit. `first` is the process that waits for the visit's own session;
    `reconnect` replaces the visit's connection, `means` serve one session of it alone."""

    def __init__(self, settings: ClientSettings, reconnect: Reconnect, means: Means,
                 first: "FirstPassenger | None" = None) -> None:
        self._settings = settings
        self.rejoin = Rejoining(reconnect).rejoin
        """Replaces it for all who share it."""
        self._ways = Ways(settings, self.rejoin, means, self._stop_listening)
        self._first = first
        self._boarding: Boarding | None = None
        self._master: Master | None = None

    @property
    def first(self) -> "FirstPassenger | None":
        """Who rides first, if another process does."""
        return self._first

    @property
    def is_told_to_end(self) -> bool:
        """-O exit came."""
        return self._master is not None and self._master.is_told_to_end

    def board(self, connection: Connection, plan: "SessionPlan") -> None:
        """Open the first passenger's session, with the login."""
        assert self._first is not None
        started = asyncio.Event()
        session = PassengerSession(connection, plan, self._settings.original_host,
                                   self._first.descriptors, started.set,
                                   self._ways)  # fmt: skip
        session.open()
        self._boarding = Boarding(session, started)

    def begin(self, connection: Connection, forwards: "Callable[[], Awaitable[Forwards]]") -> None:
        """The login stands: take passengers. Where there can be no socket, the visit goes on
        without."""
        self._master = Master(connection, self._settings, forwards, _ask, self._ways)
        try:
            self._master.listen()
        except NotListeningError as error:
            _log.error("%s", error)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._master.resized)
        if self._first is not None and self._boarding is None:
            self._first.sock.send(mux_wire.encode(mux_wire.HELLO, mux_wire.VERSION))

    def _stop_listening(self) -> None:
        """There is no connection to share any more: who comes now makes one."""
        if self._master is not None:
            self._master.stop_listening()

    async def drained(self) -> None:
        """Until those are gone who go on by themselves."""
        if self._master is not None:
            await self._master.drained()

    def reconnected(self, connection: Connection) -> None:
        """The visit has another connection."""
        if self._master is not None:
            self._master.reconnected(connection)

    @property
    def has_terminal(self) -> bool:
        """Whether a passenger has one."""
        return self._master is not None and self._master.has_terminal

    def resized(self) -> None:
        """SIGWINCH came, which may be a passenger's."""
        if self._master is not None:
            self._master.resized()

    async def ride_first(self) -> int:
        """The first passenger's session; its end is told to the passenger."""
        assert self._master is not None
        assert self._first is not None
        assert self._boarding is not None
        await self._master.serve(self._first.sock, self._boarding)
        return 0

    async def run(self) -> int:
        """For a visit without a session (-N): until there is no need for it any more."""
        assert self._master is not None
        patience = self._settings.control_persist
        await self._master.idle(patience or 0.0, needs_socket=patience is not None)
        while patience is None and not self.is_told_to_end:  # its forwards are still wanted
            await self.rejoin(lambda _connection: None)
            await self._master.idle(0.0, needs_socket=False)
        return 0 if self.is_told_to_end or patience is not None else EXIT_OWN_ERROR

    async def finish(self) -> None:
        """The visit's own session is over: wait for the passengers, and with ControlPersist for
        those who may come."""
        if self._master is None:
            return
        if self._first is not None:
            self._first.close()
        patience = self._settings.control_persist
        if patience is None:
            await self._master.drained()
            return
        leave_standard_files()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._master.resized)
        await self._master.idle(patience)

    async def close(self) -> None:
        """Take no more passengers; end those who are left."""
        if self._master is not None:
            await self._master.close()
        if self._first is not None:
            self._first.close()


def leave_standard_files() -> None:
    """Nobody waits for our output any more. Messages stay where they are asked for."""
    null = os.open(os.devnull, os.O_RDWR)
    keeps_messages = log.is_enabled(log.Level.DEBUG1)
    for descriptor in (0, 1) if keeps_messages else (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


async def _ask(question: str) -> bool:
    """By an askpass program only: the terminal is in use. As ssh(1), silence is consent."""
    askpass = Askpass(os.environ)
    if not askpass.may_ask:
        _log.info("ControlMaster ask needs SSH_ASKPASS and a display: denied")
        return False
    try:
        return await askpass.confirm(question)
    except CannotAskError as error:
        _log.info("%s: denied", error)
        return False
