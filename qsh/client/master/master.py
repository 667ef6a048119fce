"""The master of a shared connection: serves those who want a session, a forward, or a word.

Speaks OpenSSH's PROTOCOL.mux on a Unix socket that only the user can open, and looks at who calls
all the same. Every client has a task of its own: none waits for another, and each session is a
stream of the one connection.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.master.client import Boarding, MasterClient
from qsh.client.master.passenger import PassengerSession
from qsh.client.master.text import describe_channels, describe_connection
from qsh.client.master.way_back import Ways
from qsh.client.plan import SessionPlan
from qsh.config.client_settings import ClientSettings
from qsh.errors import QshError
from qsh.net.connection import Connection
from qsh.net.inbox import Signal
from qsh.net.tasks import cancel, spawn

if TYPE_CHECKING:
    from qsh.client.forwards.forwards import Forwards

BACKLOG = 64
SUFFIX_BYTES = 8
_CREDENTIALS = struct.Struct("@iII")

_log = log.logger("mux")


class NotListeningError(QshError):
    """There can be no socket at ControlPath."""


def listen(path: str) -> socket.socket:
    """A socket at `path`, for this user only; there is nothing at the path until it listens.
    Raises NotListeningError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    temporary = f"{path}.{os.urandom(SUFFIX_BYTES).hex()}"
    before = os.umask(0o177)
    try:
        sock.bind(temporary)
        sock.listen(BACKLOG)
        os.link(temporary, path)
    except FileExistsError:
        sock.close()
        raise NotListeningError(
            f"ControlSocket {path} already exists, disabling multiplexing") from None
    except OSError as error:
        sock.close()
        raise NotListeningError(
            f"cannot listen on ControlPath {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
    return sock


class Master:
    """Serves until `close`. `forwards` gives those of the connection; `ask` is asked, where
    ControlMaster says so, whether a client's request may be granted; `ways` are those of its
    sessions when the connection is lost."""

    def __init__(self, connection: Connection, settings: ClientSettings,
                 forwards: "Callable[[], Awaitable[Forwards]]",
                 ask: Callable[[str], Awaitable[bool]], ways: Ways) -> None:
        self._connection = connection
        self._ways = ways
        self._watching: asyncio.Task[object] | None = None
        self.settings = settings
        self._forwards = forwards
        self._ask = ask
        self._socket: socket.socket | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._sessions: dict[int, PassengerSession] = {}
        self._next_session = 1
        self._changed = Signal()
        self._loop = asyncio.get_running_loop()
        self.is_told_to_end = False

    # ------------------------------------------------------------ life

    def listen(self) -> None:
        """Serve at ControlPath. Raises NotListeningError."""
        assert self.settings.control_path is not None
        self._socket = listen(self.settings.control_path)
        self._loop.add_reader(self._socket.fileno(), self._accept)
        _log.debug1("setting up multiplex master socket at %s", self.settings.control_path)

    def stop_listening(self) -> None:
        """Take no more clients; the socket is gone."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(self.settings.control_path or "")  # noqa: PTH108
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._changed.set_off()

    async def close(self) -> None:
        """End all that is served."""
        self.stop_listening()
        await cancel(*self._clients)
        if self._watching is not None:
            await cancel(self._watching)

    async def drained(self) -> None:
        """Until nobody shares the connection."""
        while self._clients and not self.is_told_to_end:
            await self._changed.wait()

    def reconnected(self, connection: Connection) -> None:
        """The sessions go on over another one."""
        self._connection = connection
        self._watch()
        self._changed.set_off()

    def _watch(self) -> None:
        """Notice the end of the connection in use."""
        if self._watching is not None:
            self._watching.cancel()
        self._watching = spawn(self._connection.wait_closed(), "end of shared connection")
        self._watching.add_done_callback(lambda _: self._changed.set_off())

    async def idle(self, patience: float, *, needs_socket: bool = True) -> None:
        """Until nobody has shared the connection for so many seconds (0: for ever), it is over and
        nobody is left, or it was told to end; if `needs_socket` also when it listens no more."""
        self._watch()
        while not self.is_told_to_end:
            if self._clients:
                await self._changed.wait()
            elif self._connection.is_over or (needs_socket and self._socket is None):
                return
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience or None):
                        await self._changed.wait()
                        continue
                return

    @property
    def has_terminal(self) -> bool:
        """Whether a session has one."""
        return any(session.has_terminal for session in self._sessions.values())

    def resized(self) -> None:
        """Some client's window has another size: SIGWINCH says no more than that."""
        for session in self._sessions.values():
            if session.has_terminal:
                session.resized()

    # ------------------------------------------------------------ clients

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            sock, _ = self._socket.accept()
        except OSError:
            return
        _, uid, _ = _CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.geteuid()):
            _log.error("multiplex uid mismatch: peer euid %d != uid %d", uid, os.geteuid())
            sock.close()
            return
        self.serve(sock)

    def serve(
        self, sock: socket.socket, boarding: Boarding | None = None
    ) -> "asyncio.Task[None]":
        """Serve one client; `boarding` is a session that is under way already."""
        sock.setblocking(False)
        task = spawn(MasterClient(self, sock).run(boarding), "shared connection")
        self._clients.add(task)
        task.add_done_callback(self._left)
        return task

    def _left(self, task: "asyncio.Task[None]") -> None:
        self._clients.discard(task)
        self._changed.set_off()

    def end(self) -> None:
        """-O exit"""
        self.is_told_to_end = True
        self.stop_listening()
        self._changed.set_off()
        self._connection.close()

    # ------------------------------------------------------------ for the clients

    async def permits(self) -> bool:
        """Whether a request may be granted."""
        if self.settings.control_master not in ("ask", "autoask"):
            return True
        return await self._ask(f"Allow shared connection to {self.settings.original_host}? ")

    def open_session(self, plan: SessionPlan, descriptors: list[int],
                     started: Callable[[], None]) -> PassengerSession:
        """A session on these descriptors."""
        host = self.settings.original_host
        session = PassengerSession(self._connection, plan, host, descriptors, started,
                                   self._ways)  # fmt: skip
        session.open()
        return session

    def enter(self, session: PassengerSession) -> int:
        """Its number."""
        number = self._next_session
        self._next_session += 1
        self._sessions[number] = session
        return number

    def forget(self, number: int) -> None:
        """It is over."""
        self._sessions.pop(number, None)

    @property
    def connection(self) -> Connection:
        """The shared one."""
        return self._connection

    async def forwards(self) -> "Forwards":
        """The forwards of the connection."""
        return await self._forwards()

    def describe(self, kind: str) -> str:
        """What -O conninfo and -O channels print."""
        if kind == "connection":
            return describe_connection(self._connection, self.settings, len(self._sessions))
        return describe_channels(self._connection)
