"""From the first datagram to the exit status.

Only what the first flight needs is imported up here; what the login needs is imported while that
flight is under way.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from qsh import log
from qsh.client.dial.connect import connect, follow_network
from qsh.client.login.prompts import UserPrompter
from qsh.client.plan import SessionPlan, has_forwards
from qsh.client.session.console import Console, Interrupted
from qsh.client.session_options import ATTACH, END, LIST, START, SessionWish
from qsh.client.timeline import mark
from qsh.config.client_settings import ClientSettings
from qsh.errors import EXIT_OWN_ERROR, LoginError, NetworkError
from qsh.net.connection import Connection
from qsh.net.endings import loss_error
from qsh.net.tasks import spawn

if TYPE_CHECKING:
    from qsh.auth.methods import Identity
    from qsh.client.forwards.forwards import Forwards
    from qsh.client.host.proofs import HostProof
    from qsh.client.host.update_host_keys import HostKeyUpdate
    from qsh.client.login.keyring import Keyring
    from qsh.client.login.ticket import Ticket
    from qsh.client.master.sharing import Sharing
    from qsh.client.session.resume import Resumption
    from qsh.client.session.session import Session
    from qsh.net.migration import Migrator

FATAL_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_log = log.logger("client")


class Visit:
    """Connects, logs in and runs the session of `plan` (None: no session, -N). `stdio` is the
    channel open of -W."""

    def __init__(self, settings: ClientSettings, plan: SessionPlan | None,
                 console: Console, stdio: object = None, wish: SessionWish | None = None) -> None:
        self._settings = settings
        self._plan = plan
        self._console = console
        self._stdio = stdio
        self._wish = wish
        self._forwards: Forwards | None = None
        self._prompter = UserPrompter(batch=settings.batch_mode)
        self._keyring: Keyring | None = None
        self._identities: asyncio.Task[tuple[Identity, ...]] | None = None
        self._last_identity = ""
        self._network: Migrator | None = None
        self._connection: Connection | None = None
        self._proof: HostProof | None = None
        self._resumption: Resumption | None = None
        self._session: Session | None = None
        self._ticket: Ticket | None = None
        self._host_keys: HostKeyUpdate | None = None
        self._may_type = False
        """Whether the user may be asked for secrets when the connection is lost."""
        self._resumptions = 0
        self._began_on_terminal = console.is_terminal
        self._signal = 0
        self._in_session = False
        self.when_logged_in: Callable[[], None] = lambda: None
        """Called once, when the login and all forwards stand, before any output is passed on."""
        self.sharing: Sharing | None = None
        """Who else may use the connection; None for nobody."""

    @property
    def _is_interactive(self) -> bool:
        """Whether somebody types: for IPQoS."""
        return self._plan is not None and self._plan.pty is not None

    async def run(self) -> int:
        """All of it. A fatal signal closes the connection in good order and gives 255 as with
        ssh, or raises Interrupted before the session."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for number in FATAL_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._interrupt, number, task)
        try:
            return await self._visit()
        except asyncio.CancelledError:
            if not self._in_session:
                raise Interrupted(self._signal) from None
            _log.debug1("killed by signal %d", self._signal)
            return EXIT_OWN_ERROR

    def _interrupt(self, number: int, task: "asyncio.Task[int]") -> None:
        self._signal = self._signal or number
        task.cancel()

    async def _visit(self) -> int:
        mark("loop is running")
        connection = await connect(self._settings, self._prepare,
                                   is_interactive=self._is_interactive)
        mark("handshake complete")
        _log.debug1("TLS key exchange: %s", connection.key_exchange or "unknown to the engine")
        self._connection = connection
        try:
            status = await self._log_in_and_work(connection)
            if self._host_keys is not None:
                await self._host_keys.finish()
            return status
        finally:
            self._connection.close()
            if self._network is not None:
                self._network.stop()
            if self._keyring is not None:
                self._keyring.close()

    def _prepare(self) -> None:
        """While the first flight is under way: load what the login needs, and the identities."""
        mark("first flight sent")
        from qsh.client.host import check  # noqa: F401
        from qsh.client.login import login  # noqa: F401
        from qsh.client.login.keyring import Keyring
        from qsh.client.login.remembered import last_identity
        from qsh.client.session import lasting_channel, session  # noqa: F401

        mark("login and session imported")
        settings = self._settings
        self._keyring = Keyring(settings, self._prompter)
        self._last_identity = last_identity(settings.user, settings.host_key_name, settings.port)
        self._identities = spawn(self._keyring.identities(self._last_identity), "identities")

    async def _log_in_and_work(self, connection: Connection) -> int:
        from qsh.client.host.check import HostCheck
        from qsh.client.host.proofs import read_proof
        from qsh.client.login.login import Login

        settings = self._settings
        assert self._keyring is not None
        assert self._identities is not None
        proof = read_proof(connection)
        check = HostCheck(connection, proof, settings, self._prompter, time.time())
        trust = await check.run()
        self._may_type = not trust.is_changed and self._is_interactive
        mark("host is trusted")
        identities = await self._identities
        login = Login(connection, proof, settings, self._keyring, self._prompter, identities,
                      may_type_secrets=not trust.is_changed)  # fmt: skip
        await self._prepare_forwards(connection, proof)
        await login.start()
        work = await self._begin_work(connection)
        mark("login and session sent")
        self._network = follow_network(connection, settings,
                                       is_interactive=self._is_interactive)
        from qsh.client.host.update_host_keys import HostKeyUpdate

        await login.finish()
        mark("logged in")
        self._host_keys = HostKeyUpdate(connection, proof, settings, self._prompter,
                                        may_update=trust.by_own_list)
        from qsh.client.login.remembered import remember_login, remember_qshd

        remember_login(settings, login.used, identities, self._last_identity)
        remember_qshd(settings)
        await self._after_login(connection, login.used)
        self._offer_ticket(connection)
        self._in_session = True
        return await self._do(work, connection)

    async def _do(self, work: Callable[[], Awaitable[int]], connection: Connection) -> int:
        """What the user came for, and then what others still need the connection for."""
        sharing = self.sharing
        try:
            if self._forwards is not None:
                await self._forwards.start()
            if sharing is not None:
                sharing.begin(connection, self._all_forwards)
            self.when_logged_in()
            status = await work()
            if sharing is not None:
                await sharing.finish()
            return status
        except LoginError:
            if sharing is not None:  # its passengers may go on without us
                await sharing.drained()
            raise
        except NetworkError:
            if sharing is not None and sharing.is_told_to_end:
                return EXIT_OWN_ERROR
            raise
        finally:
            mark("session over")
            if sharing is not None:
                await sharing.close()
            if self._forwards is not None:
                await self._forwards.stop()

    async def _after_login(self, connection: Connection, used: "Identity | None") -> None:
        """ChannelTimeout, AddKeysToAgent, LocalCommand; and `qsh --status` may ask."""
        settings = self._settings
        spawn(self._tell_status(), "status")
        if settings.channel_timeouts:
            from qsh.net.watch import Watch

            spawn(Watch(connection, settings.channel_timeouts).run(), "idle channels")
        if used is not None and settings.add_keys_to_agent.when != "no":
            assert self._keyring is not None
            await self._keyring.add_to_agent(used)
        if settings.permit_local_command and settings.local_command:
            from qsh.client.session.local_command import run_local_command

            await run_local_command(settings.local_command, os.environ)

    async def _prepare_forwards(self, connection: Connection, proof: "HostProof") -> None:
        """Before the login, so that nothing runs if a listener cannot be had and must be."""
        self._proof = proof
        if not has_forwards(self._settings) and self._forwards is None:
            return
        self._forwards = self._new_forwards(connection, proof)
        try:
            await self._forwards.bind()
        except BaseException:
            await self._forwards.stop()
            raise

    def _new_forwards(self, connection: Connection, proof: "HostProof") -> "Forwards":
        """With those that were wanted on the connection before."""
        from qsh.client.forwards.forwards import Forwards

        wanted = self._forwards.wanted if self._forwards is not None else None
        return Forwards(connection, self._settings, proof.key.blob, proof.session_id, wanted)

    async def _all_forwards(self) -> "Forwards":
        """The connection's forwards, to be added to; also where none was asked for so far."""
        if self._forwards is None:
            assert self._connection is not None
            assert self._proof is not None
            self._forwards = self._new_forwards(self._connection, self._proof)
            await self._forwards.start()
        return self._forwards

    async def _run_command(self, line: str) -> str:
        """A line of `~C`; what to answer."""
        from qsh.client.forwards.command_line import execute

        return await execute(line, self._all_forwards)

    async def _begin_work(self, connection: Connection) -> Callable[[], Awaitable[int]]:
        """Send what goes with the login; gives what is to be done once it stands."""
        if self._forwards is not None:
            self._forwards.request()
            await asyncio.sleep(0)  # first the forwards, then the session that may use them
        if self._stdio is not None:
            channel = connection.open_channel(self._stdio)
            from qsh.forward import stdio

            carried = spawn(stdio.run(channel, *self._stdio_descriptors()), "stdio")
            return lambda: _until_carried(carried)
        if self._wish is not None and self._wish.action in (LIST, END):
            from qsh.client.session.listing import manage

            return manage(connection, self._wish)
        if self._plan is None:
            return self._until_closed if self.sharing is None else self.sharing.run
        if self.sharing is not None and self.sharing.first is not None:
            self.sharing.board(connection, self._plan)
            return self.sharing.ride_first
        from qsh.client.session.lasting_channel import Place, new_number
        from qsh.client.session.session import Lasting, Session

        wish = self._wish or SessionWish(START)
        place = Place(new_number().hex(), new_number())
        if wish.action == ATTACH:
            place = Place(wish.label, place.client, wish.mode)
        reconnect = self.sharing.rejoin if self.sharing is not None else self.reconnect
        lasting = Lasting(place, reconnect, wish.label, wish.action != ATTACH,
                          not self._settings.is_for_this_visit)
        if wish.leaves:
            from qsh.client.session.left_session import start_and_leave
            return start_and_leave(connection, self._plan, lasting, self._settings.original_host)
        x11 = self._forwards.x11_request if self._forwards is not None else None
        session = Session(connection, self._plan, self._console, self._settings.original_host,
                          x11=x11, lasting=lasting)  # fmt: skip
        return self._open(session)

    def _open(self, session: "Session") -> Callable[[], Awaitable[int]]:
        if self._settings.enable_escape_commandline:
            session.command = self._run_command
        session.open()
        self._session = session
        return lambda: self._run_session(session)

    async def _until_closed(self) -> int:
        """For a visit without a session: until the connection is over for good."""
        assert self._connection is not None
        while True:
            await self._connection.wait_closed()
            await self.reconnect(lambda _connection: None)

    async def reconnect(self, begin: Callable[[Connection], None]) -> None:
        """Replace a lost connection and its forwards. Raises NetworkError, LoginError."""
        from qsh.client.session.resume import HUNG_UP, may_resume

        settings, connection = self._settings, self._connection
        assert connection is not None
        if self._is_abandoned():
            raise NetworkError(f"connection to {connection.name} lost, and {HUNG_UP}")
        if connection.is_over:
            closed = await connection.wait_closed()
            if not may_resume(settings, closed, has_terminal=self._is_watched()):
                raise loss_error(closed, connection.name)
        self._resumption = self._resumption or self.resumption(
            self._ticket, self._is_watched, is_abandoned=self._is_abandoned,
            aside=self._session.aside if self._session and self._may_type else None,
        )
        await self._leave_connection(connection)
        self._connection = connection = await self._resumption.run(
            self._prepare_forwards_again, begin
        )
        self._resumptions += 1
        self._network = follow_network(connection, settings,
                                       is_interactive=self._is_interactive)
        if self._forwards is not None:
            await self._forwards.start()
        if self.sharing is not None:
            self.sharing.reconnected(connection)

    def resumption(self, ticket: "Ticket | None", has_terminal: Callable[[], bool],
                   **more: Any) -> "Resumption":
        """The way back for all, or for one session of a shared connection, by its ticket."""
        from qsh.client.session.resume import Resumption

        assert self._keyring is not None
        assert self._identities is not None
        assert self._proof is not None
        return Resumption(self._settings, self._keyring, self._prompter,
                          self._identities.result(), self._proof.key,
                          has_terminal=has_terminal, ticket=ticket, **more)  # fmt: skip

    def _is_watched(self) -> bool:
        """Whether somebody may look at a session: not at a terminal that has hung up."""
        is_ours = self._is_interactive and not self._has_hung_up()
        return is_ours or (self.sharing is not None and self.sharing.has_terminal)

    def _has_hung_up(self) -> bool:
        return self._began_on_terminal and not self._console.is_terminal

    def _is_abandoned(self) -> bool:
        """Whether the session's terminal has hung up, and nobody else shares the connection: then
        one that is lost is not worth another."""
        return self._is_interactive and self._has_hung_up() and self.sharing is None

    async def _tell_status(self) -> None:
        await asyncio.sleep(1)  # shorter visits are not asked about
        from qsh.client.status.desk import keep_desk

        await keep_desk(self._settings, self._wish, lambda: (self._connection, self._resumptions))

    async def _leave_connection(self, connection: Connection) -> None:
        connection.close()
        if self._network is not None:
            self._network.stop()
        if self._forwards is not None:
            await self._forwards.stop()

    async def _prepare_forwards_again(self, connection: Connection, proof: "HostProof") -> None:
        if self._forwards is not None:
            await self._forwards.stop()
        await self._prepare_forwards(connection, proof)
        if self._forwards is not None:
            self._forwards.request()

    def _stdio_descriptors(self) -> tuple[int, int]:
        first = self.sharing.first if self.sharing is not None else None
        return (0, 1) if first is None else (first.descriptors[0], first.descriptors[1])

    def _offer_ticket(self, connection: Connection) -> None:
        """Not where others have sessions on the connection: a ticket is good for one alone."""
        if self._session is not None and self.sharing is None:
            from qsh.client.login.ticket import Ticket

            session = self._session
            self._ticket = Ticket(lambda: session.kept_number)
            spawn(self._ticket.offer(connection), "session ticket")

    async def _run_session(self, session: "Session") -> int:
        status = await session.run()
        if self._forwards is not None and not session.was_left:
            await self._forwards.drained()
        return status


async def _until_carried(carried: "asyncio.Task[None]") -> int:
    await carried
    return 0
