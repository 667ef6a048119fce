"""One session: opens it, carries bytes both ways, and says how it ended.

`open` sends everything at once, also before the login stands: the server holds it until then.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.notices import rendered, show
from qsh.client.plan import SessionPlan
from qsh.client.session.console import Console
from qsh.client.session.keys import Keys
from qsh.errors import EXIT_OWN_ERROR, NetworkError, QshError, RequestError
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.splice import copy_from, copy_to
from qsh.net.tasks import cancel, spawn
from qsh.record import record, replace
from qsh.wire.channel import EXTENDED_DATA_STDERR
from qsh.wire.channel_messages import ExitSignal, ExitStatus, SessionOpen, WindowChange
from qsh.wire.forward_messages import AgentRequest
from qsh.wire.start_messages import ExecRequest, PtyRequest, SubsystemRequest

if TYPE_CHECKING:
    from qsh.client.session.contact import Contact
    from qsh.client.session.keystroke_timing import KeystrokeTiming
    from qsh.client.session.lasting_channel import LastingChannel, Place, Reconnect

STDOUT, STDERR = 1, 2
INTERACTIVE = 2
"""Priority of a session with a terminal (see Channel.set_priority)."""
SILENT_SIGNALS = frozenset({"INT", "PIPE"})
"""What ends commands all day, and that nobody wants to read about."""

_log = log.logger("session")


@record
class Ending:
    """How the remote command ended: by a status, by a signal, or without a word."""

    status: int | None = None
    signal_name: str = ""
    core_dumped: bool = False

    @property
    def exit_status(self) -> int:
        """For our own process: the status, or 128 + n for signal n, as a shell has it."""
        if self.status is not None:
            return self.status & 0xFF
        number = getattr(signal, f"SIG{self.signal_name}", None) if self.signal_name else None
        return 128 + int(number) if isinstance(number, signal.Signals) else EXIT_OWN_ERROR


@record
class Lasting:
    """How a session outlives its connection: `place` numbers it, `reconnect` makes the next
    connection; `label` is what the user calls it. Not `is_new`: attach to one that is there. Not
    `may_be_left`: nobody could find it again."""

    place: "Place"
    reconnect: "Reconnect"
    label: str = ""
    is_new: bool = True
    may_be_left: bool = True


class Session:
    """The session of a plan on a connection. `host` is what the user calls the other side; input
    comes from the console's descriptor, `outputs` take stdout and stderr; `x11` asks for a display
    that leads here; `lasting` says how the session outlives the connection (None: it does not)."""

    def __init__(self, connection: Connection, plan: SessionPlan, console: Console, host: str,
                 outputs: tuple[int, int] = (STDOUT, STDERR), x11: object = None,
                 lasting: "Lasting | None" = None) -> None:
        self._connection = connection
        self._plan = plan
        self._console = console
        self._host = host
        self._outputs = outputs
        self.command: Callable[[str], Awaitable[str]] | None = None
        """Does what a line of `~C` says; None where there is no command line."""
        self._x11 = x11
        self._lasting = lasting
        self._stdin: asyncio.Task[object] | None = None
        self._contact: Contact | None = None
        self._ending = Ending()
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def open(self) -> None:
        """Send the open and all requests; a stdin that is no terminal is read from now on."""
        plan = self._plan
        self._channel = channel = self._open_channel()
        if plan.pty is not None:
            channel.set_priority(INTERACTIVE)
            self._pty_granted = channel.ask(plan.pty)
        if plan.forwards_agent:
            channel.send_request(AgentRequest())
        if self._x11 is not None:
            self._x11_granted = channel.ask(self._x11)
        for variable in plan.environment:
            channel.send_request(variable)
        self._started = self._ask_start()
        if not plan.reads_stdin:
            channel.write_eof()
        elif not self._console.is_terminal:
            # A terminal is read after the login only, whose questions are answered there.
            self._start_reading()

    def _open_channel(self) -> "Channel | LastingChannel":
        channel = self._connection.open_channel(SessionOpen())
        if self._lasting is None:
            return channel
        from qsh.client.session.lasting_channel import LastingChannel

        return LastingChannel(
            channel, self._lasting.place, self._lasting.reconnect, self._pty_now
        )

    def _ask_start(self) -> "asyncio.Future[bool]":
        channel, lasting = self._channel, self._lasting
        if lasting is None or isinstance(channel, Channel):
            return channel.ask(self._plan.start)
        if lasting.is_new:
            channel.keep(lasting.label)
        started = channel.ask(self._plan.start) if lasting.is_new else channel.attach()
        channel.begin()
        return started

    def _pty_now(self) -> "PtyRequest | None":
        """The request for the terminal, with its size now."""
        if self._plan.pty is None:
            return None
        size = self._console.size()
        return replace(self._plan.pty, columns=size.columns, rows=size.rows,
                       width_px=size.width_px, height_px=size.height_px)  # fmt: skip

    @property
    def kept_number(self) -> bytes:
        """The session's number, if the server keeps it; else empty."""
        return b"" if isinstance(self._channel, Channel) else self._channel.kept_number

    @contextlib.asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """The terminal as it was before the session, for questions to the user: what is typed
        meanwhile is no input of the session's."""
        if not self._console.is_raw:
            yield
            return
        if self._contact is not None:
            self._contact.hide()
        if self._stdin is not None:
            await cancel(self._stdin)
        self._console.restore()
        try:
            yield
        finally:
            self._console.make_raw()
            self._start_reading()

    @property
    def was_left(self) -> bool:
        """The user has cut the connection."""
        return self._left.done()

    def _start_reading(self) -> None:
        if self._plan.pty is not None:
            keys = Keys(self._channel, self._console, self._plan.escape,
                        disconnect=self._leave, detach=self._detach, resized=self._resized,
                        show=self._show, command=self.command, watcher=self._contact,
                        timing=self._keystroke_timing())  # fmt: skip
            self._stdin = spawn(keys.run(), "keys")
        else:
            self._stdin = spawn(self._copy_stdin(), "stdin")

    def _keystroke_timing(self) -> "KeystrokeTiming | None":
        if not self._plan.key_interval:
            return None
        from qsh.client.session.keystroke_timing import KeystrokeTiming

        return KeystrokeTiming(self._plan.key_interval)

    def _show(self, text: str) -> None:
        if self._contact is not None:  # what was typed may stop us, or end all
            is_seen = os.isatty(STDERR)
            self._contact.tell(rendered(text, is_terminal=True) if is_seen else b"")
        show(text)

    async def run(self) -> int:
        """From the login to the end; gives the exit status. Raises ChannelOpenError,
        RequestError, NetworkError."""
        await self._channel.opened()
        await self._check_started()
        with self._terminal():
            if self._stdin is None and self._plan.reads_stdin:
                self._start_reading()
            tasks = [
                spawn(self._copy_output(0, "standard output"), "stdout"),
                spawn(self._copy_output(EXTENDED_DATA_STDERR, "standard error"), "stderr"),
                spawn(self._watch_requests(), "session requests"),
            ]
            try:
                await self._until_end(tasks)
            finally:
                await cancel(*tasks, *([self._stdin] if self._stdin else []))
                self._channel.close()
        self._report()
        return self._ending.exit_status

    async def _check_started(self) -> None:
        if self._plan.pty is not None and not await self._pty_granted:
            _log.info("the server gives no pseudo-terminal")
        if self._x11 is not None and not await self._x11_granted:
            _log.info("the server forwards no X11")
        if not await self._started and self._lasting is not None and not self._lasting.is_new:
            raise RequestError(f"{self._host} has no such session, or several: see --list")
        if not await self._started:
            raise RequestError(f"{self._host} refuses to run {self._what}")

    @property
    def _what(self) -> str:
        match self._plan.start:
            case ExecRequest():
                return "the command"
            case SubsystemRequest(name):
                return f"the subsystem {name}"
        return "a shell"

    async def _until_end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Until all output is written and the channel is over, or the user has left. Raises what
        the first failing task raises."""
        over = asyncio.gather(*tasks, self._channel.wait_closed())
        try:
            await asyncio.wait((over, self._left), return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                over.result()
        finally:
            over.cancel()
            with contextlib.suppress(asyncio.CancelledError, QshError):
                await over

    def _report(self) -> None:
        ending = self._ending
        if ending.signal_name and ending.signal_name not in SILENT_SIGNALS:
            core = " (core dumped)" if ending.core_dumped else ""
            _log.info("the remote command was killed by signal %s%s", ending.signal_name, core)
        elif ending.status is None and not ending.signal_name and not self._left.done():
            _log.error("the session ended without an exit status")
        if self._plan.pty is not None:
            _log.info("Connection to %s closed.", self._host)

    # ------------------------------------------------------------ bytes

    async def _copy_stdin(self) -> None:
        try:
            await copy_from(self._console.descriptor, self._channel)
        except NetworkError:
            return  # told by those who read from the channel
        except OSError as error:
            _log.error("cannot read standard input: %s", error.strerror)
            self._channel.write_eof()

    async def _copy_output(self, data_type: int, name: str) -> None:
        sink = self._outputs[data_type] if data_type or self._contact is None else self._contact
        try:
            await copy_to(self._channel, sink, data_type)
        except OSError as error:
            raise QshError(f"cannot write to {name}: {error.strerror}") from None

    async def _watch_requests(self) -> None:
        while (request := await self._channel.next_request()) is not None:
            match request.body:
                case ExitStatus(status):
                    self._ending = Ending(status)
                case ExitSignal(name, core_dumped):
                    self._ending = Ending(None, name, core_dumped)
            self._channel.answer(request, False)

    # ------------------------------------------------------------ the terminal

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        """Raw mode, and the signals that matter to a terminal."""
        if self._plan.pty is None:
            yield
            return
        loop = asyncio.get_running_loop()
        self._console.make_raw()
        loop.add_signal_handler(signal.SIGWINCH, self._resized)
        loop.add_signal_handler(signal.SIGCONT, self._continued)
        try:
            with self._watched():
                yield
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            loop.remove_signal_handler(signal.SIGCONT)
            self._console.restore()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """The user is told when nothing is heard, if there is a terminal at both ends that can
        show it."""
        output = self._outputs[0]
        is_between_terminals = self._console.is_terminal and os.isatty(output)
        if not (is_between_terminals and self._pty_granted.result()):
            yield
            return
        from qsh.client.session.contact import Contact, can_show

        if not can_show(os.environ):
            yield
            return
        self._contact = contact = Contact(self._channel, self._console, output, self._host,
                                          self._plan.escape, os.environ)  # fmt: skip
        watching = spawn(contact.run(), "notice")
        try:
            yield
        finally:
            watching.cancel()
            contact.close()

    def _resized(self) -> None:
        if self._contact is not None:
            self._contact.resized()
        size = self._console.size()
        self._channel.send_request(
            WindowChange(size.columns, size.rows, size.width_px, size.height_px)
        )

    def _continued(self) -> None:
        self._console.resume()
        if self._contact is not None:
            self._contact.lose()
        self._resized()

    def _detach(self) -> None:
        """Leave, and let the session go on."""
        from qsh.client.session.lasting_channel import LastingChannel

        channel, lasting = self._channel, self._lasting
        if lasting is not None and not lasting.may_be_left:
            self._show("this session cannot be left: its server is there for this visit only")
            return
        if not isinstance(channel, LastingChannel) or not channel.detach():
            self._show("this session cannot be detached from: the server does not keep it, or "
                       "cannot be reached")
            return
        self._ending = Ending(0)
        self._show(f"detached; qsh --attach={channel.label} {self._host} goes on")
        self._leave()

    def _leave(self) -> None:
        if not self._left.done():
            self._left.set_result(None)
