"""The way back to a server whose connection was lost: dial, check the host, log in, without hands.

Goes on until it succeeds or there is no hope: the name is resolved anew each time, all its
addresses are tried, and news of the network cut the waiting short. Where nothing but the user's
hand helps, and there is a terminal, the user is asked.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator

from qsh import log
from qsh.auth.methods import Identity
from qsh.auth.public_key import PublicKey
from qsh.client.dial.connect import connect
from qsh.client.host.check import HostCheck
from qsh.client.host.proofs import HostProof, read_proof
from qsh.client.login.keyring import Keyring
from qsh.client.login.login import Login
from qsh.client.login.prompts import UserPrompter
from qsh.client.login.ticket import Ticket
from qsh.client.notices import show
from qsh.config.client_settings import ClientSettings
from qsh.errors import HostKeyError, LoginError, NetworkError
from qsh.net.connection import Connection
from qsh.net.endings import is_loss
from qsh.net.inbox import Signal
from qsh.net.network_watch import NetworkWatch
from qsh.net.tasks import spawn
from qsh.quic.events import ConnectionClosed
from qsh.record import replace

TERMINAL_PATIENCE = 7 * 24 * 3600.0
COMMAND_PATIENCE = 600.0
"""Seconds to go on trying for a session with a terminal, and for another, unless ResumeTimeout
says otherwise: what qshd keeps them for by default."""
FIRST_PAUSE, LAST_PAUSE = 0.1, 5.0
"""Seconds between attempts; each pause is half as long again as the one before."""
DIAL_TIMEOUT = 4.0
"""Seconds for one handshake; more where ConnectTimeout says so."""
LOGIN_TIMEOUT = 20.0
HUNG_UP = "its terminal has hung up"
IDLE = "idle timeout"
"""What engines call the end of a connection on which nothing was heard."""

_log = log.logger("resume")

Prepare = Callable[[Connection, HostProof], Awaitable[None]]
Aside = Callable[[], contextlib.AbstractAsyncContextManager[None]]
"""Gives the terminal for questions, and takes it back."""


class Resumption:
    """The means of a visit's login, to be used again. `host_key` is the host's at first: where the
    session goes on, typed input goes unasked, so another key must be in known_hosts, whatever
    StrictHostKeyChecking says. `has_terminal` says whether somebody looks; `is_abandoned`, whether
    nobody will any more, since the terminal has hung up.
    `ticket` is the session's; `aside` None: nobody may be asked."""

    def __init__(self, settings: ClientSettings, keyring: Keyring, prompter: UserPrompter,
                 identities: tuple[Identity, ...], host_key: PublicKey, *,
                 has_terminal: Callable[[], bool],
                 is_abandoned: Callable[[], bool] = lambda: False, ticket: Ticket | None = None,
                 aside: Aside | None = None) -> None:
        asked = settings.connect_timeout
        self._settings = replace(
            settings, connection_attempts=1, fallback_to_ssh="no", strict_host_key_checking="yes",
            connect_timeout=max(asked or 0.0, DIAL_TIMEOUT),
        )
        self._keyring = keyring
        self._prompter = prompter
        self._identities = identities
        self._host_key = host_key
        self._has_terminal = has_terminal
        self._is_abandoned = is_abandoned
        self._ticket = ticket
        self._aside = None if settings.batch_mode else aside
        self._changed = Signal()

    async def run(self, prepare: Prepare, begin: Callable[[Connection], None]) -> Connection:
        """A connection on which the login stands. `prepare` is awaited before the login is sent,
        `begin` called with it. Raises NetworkError when patience is at its end, LoginError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        watch = NetworkWatch(self._changed.set_off)
        watch.start()
        pause, told = FIRST_PAUSE, ""
        try:
            while True:
                try:
                    return await self._try(prepare, begin)
                except (NetworkError, HostKeyError) as error:
                    if isinstance(error, HostKeyError) and str(error) != told:
                        told = str(error)  # may be another network's liar: told once
                        _log.error("%s", error)
                    if self._is_abandoned():
                        host = self._settings.original_host
                        raise NetworkError(f"connection to {host} lost, and {HUNG_UP}") from None
                    patience = _patience(self._settings, has_terminal=self._has_terminal())
                    deadline = began + patience
                    if loop.time() >= deadline:
                        raise NetworkError(
                            f"connection to {self._settings.original_host} lost, and no way back "
                            f"found in {patience:g} s: {error}"
                        ) from None
                    _log.debug1("%s: trying again", error)
                await self._pause(min(pause, max(0.0, deadline - loop.time())))
                pause = min(pause * 1.5, LAST_PAUSE)
        finally:
            watch.stop()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    @contextlib.contextmanager
    def _without_questions(self) -> Iterator[None]:
        before, self._prompter.batch = self._prompter.batch, True
        try:
            yield
        finally:
            self._prompter.batch = before

    async def _try(self, prepare: Prepare, begin: Callable[[Connection], None]) -> Connection:
        """Over one connection without questions; over another with them, if that is what it
        takes. Raises NetworkError, HostKeyError, LoginError."""
        try:
            with self._without_questions():
                return await self._dial(prepare, begin, LOGIN_TIMEOUT)
        except LoginError:
            if self._aside is None:
                raise
        async with self._aside():
            host = self._settings.original_host
            show(f"connection to {host} lost: log in again to go on with the session")
            return await self._dial(prepare, begin, None)

    async def _dial(self, prepare: Prepare, begin: Callable[[Connection], None],
                    seconds: float | None) -> Connection:
        """`seconds` for the login; None while somebody types."""
        connection = await connect(
            self._settings, lambda: None, is_interactive=self._has_terminal()
        )
        try:
            async with asyncio.timeout(seconds):
                await self._log_in(connection, prepare, begin, may_ask=seconds is None)
        except TimeoutError:
            connection.close()
            raise NetworkError(f"no answer from {connection.name}") from None
        except BaseException:
            connection.close()
            raise
        return connection

    async def _log_in(self, connection: Connection, prepare: Prepare,
                      begin: Callable[[Connection], None], *, may_ask: bool) -> None:
        settings, ticket = self._settings, self._ticket
        proof = read_proof(connection)
        check = HostCheck(connection, proof, settings, self._prompter, time.time())
        if proof.key.blob == self._host_key.blob:
            await check.run_again()
        else:
            await check.run()
        if ticket is not None and not ticket.is_offered:
            ticket = None
        login = Login(connection, proof, settings, self._keyring, self._prompter,
                      self._identities, may_type_secrets=may_ask, ticket=ticket)  # fmt: skip
        await prepare(connection, proof)
        await login.start()
        begin(connection)
        try:
            await login.finish()
        except LoginError as error:
            self._note_login(connection, login)
            raise LoginError(f"cannot go on with the session: {error}") from None
        self._note_login(connection, login)

    def _note_login(self, connection: Connection, login: Login) -> None:
        """A ticket that did not serve is none; after another login there may be a new one."""
        ticket = self._ticket
        if ticket is None or login.by_ticket:
            return
        ticket.is_offered = False
        if connection.login.is_done:
            spawn(ticket.offer(connection), "session ticket")


def _patience(settings: ClientSettings, *, has_terminal: bool) -> float:
    if settings.resume_timeout is not None:
        return settings.resume_timeout
    return TERMINAL_PATIENCE if has_terminal else COMMAND_PATIENCE


def may_resume(settings: ClientSettings, closed: ConnectionClosed, *, has_terminal: bool) -> bool:
    """Whether a connection that ended like this is to be replaced. With ServerAliveInterval a
    command's session ends as ssh's would, since scripts count on it."""
    if settings.resume_timeout == 0 or not is_loss(closed):
        return False
    is_silence = closed.reason == IDLE
    return has_terminal or settings.server_alive_interval <= 0 or not is_silence
