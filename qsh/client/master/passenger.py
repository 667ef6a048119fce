"""A session in the master for a client that shares its connection: on that client's descriptors,
at its terminal, with its window's size.

What matters to the client's own process, raw mode and stopping, is left to it.
"""

import contextlib
import os
import termios
from collections.abc import Callable, Iterator, Sequence

from qsh.client.master.way_back import WayBack, Ways
from qsh.client.notices import show
from qsh.client.plan import SessionPlan
from qsh.client.session.console import Console, WindowSize
from qsh.client.session.lasting_channel import Place, new_number
from qsh.client.session.session import Lasting, Session
from qsh.config.client_settings import ClientSettings
from qsh.net.connection import Connection
from qsh.record import record
from qsh.wire.start_messages import (
    EnvRequest,
    ExecRequest,
    PtyRequest,
    ShellRequest,
    SubsystemRequest,
)


class PassengerConsole(Console):
    """A terminal whose modes another process sets and restores."""

    def make_raw(self) -> None:
        """The client's work."""

    def restore(self) -> None:
        """The client's work."""

    def suspend(self) -> None:
        """Stops nobody: this process serves others."""
        show("^Z escape not supported for multiplexed sessions", self.descriptor)

    def resume(self) -> None:
        """The client's work."""


@record
class Wish:
    """What a client asks for, as NEW_SESSION of PROTOCOL.mux says it."""

    wants_tty: bool
    wants_agent: bool
    is_subsystem: bool
    escape: bytes | None
    term: str
    command: bytes
    variables: tuple[str, ...]
    """NAME=VALUE"""


def plan_of(wish: Wish, console: Console, settings: ClientSettings) -> SessionPlan:
    """The session to open, on a connection with these settings."""
    start: ShellRequest | ExecRequest | SubsystemRequest = ShellRequest()
    if wish.is_subsystem:
        start = SubsystemRequest(wish.command.decode(errors="replace"))
    elif wish.command:
        start = ExecRequest(wish.command)
    pairs = (variable.partition("=")[::2] for variable in wish.variables)
    return SessionPlan(
        _pty(wish.term, console) if wish.wants_tty else None,
        tuple(EnvRequest(name, value) for name, value in pairs if name),
        start, wish.escape if wish.wants_tty else None, True,
        wish.wants_agent and settings.forward_agent is not None,
        settings.obscure_keystroke_timing,
    )  # fmt: skip


def _pty(term: str, console: Console) -> PtyRequest:
    attributes, size, modes = console.attributes(), WindowSize(), b"\0"
    if attributes is not None:
        from qsh.terminal.modes import encode_modes, modes_of

        size, modes = console.size(), encode_modes(modes_of(attributes, termios))
    return PtyRequest(term, size.columns, size.rows, size.width_px, size.height_px, modes)


class PassengerSession(Session):
    """A session on three descriptors, which it owns. `started` is called once it runs."""

    def __init__(self, connection: Connection, plan: SessionPlan, host: str,
                 descriptors: Sequence[int], started: Callable[[], None],
                 ways: Ways) -> None:
        stdin, stdout, stderr = descriptors
        self._way_back = WayBack(ways, lambda: self.kept_number, lambda: self.has_terminal)
        lasting = Lasting(Place(new_number().hex(), new_number()), self._way_back.reconnect)
        super().__init__(connection, plan, PassengerConsole(stdin), host, (stdout, stderr),
                         lasting=lasting)  # fmt: skip
        self._descriptors = tuple(descriptors)
        self._has_started = started
        self._way_back.offer_ticket(connection)

    @property
    def has_terminal(self) -> bool:
        """Whether it has a window whose size may change."""
        return self._plan.pty is not None

    def resized(self) -> None:
        """Tell the server the window's size."""
        self._resized()

    def _show(self, text: str) -> None:
        show(text, self._descriptors[2])

    def leave(self) -> None:
        """The client is gone."""
        self._leave()

    def close(self) -> None:
        """Let go of the descriptors, and of a connection of its own."""
        self._way_back.close()
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors = ()

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        self._has_started()
        yield

    def _report(self) -> None:
        """The client tells its user."""
