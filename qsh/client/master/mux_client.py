"""A command over another qsh's connection: asks its master, passes it our descriptors, and waits.

Bytes go straight between the master and our own standard files; all that is left to do here is to
put the terminal into raw mode, pass on what is for the master, and end with the command's status.
No event loop, no engine: a second command costs one round trip and hardly more than Python.
"""

import contextlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.master import mux_wire as wire
from qsh.client.master.mux_wire import Field, Fields, MessageReader
from qsh.client.session.console import Console
from qsh.errors import EXIT_OWN_ERROR, DecodeError, NetworkError, QshError, UsageError

if TYPE_CHECKING:
    from qsh.client.plan import SessionPlan
    from qsh.config.client_settings import ClientSettings
    from qsh.config.forward_specs import ForwardSpec

RECEIVE_SIZE = 65536
_CREDENTIALS = struct.Struct("@iII")
_KINDS = {"local_forwards": wire.LOCAL, "remote_forwards": wire.REMOTE,
          "dynamic_forwards": wire.DYNAMIC}  # fmt: skip

_log = log.logger("mux")


class RefusedError(NetworkError):
    """The master will not or cannot."""


class Master:
    """A connection to a master. Raises QshError for whatever goes wrong with it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = MessageReader()
        self._request = 0
        self.extensions: frozenset[str] = frozenset()

    def greet(self) -> None:
        """Both sides name their version."""
        self._send(wire.encode(wire.HELLO, wire.VERSION))
        number, fields = self.receive()
        if number != wire.HELLO or (version := fields.number()) != wire.VERSION:
            version = version if number == wire.HELLO else 0
            raise NetworkError(f"the master of the shared connection speaks version {version}, "
                               f"not {wire.VERSION}")  # fmt: skip
        names = set()
        while not fields.is_at_end:
            names.add(fields.text())
            fields.string()
        self.extensions = frozenset(names)

    def ask(self, number: int, *fields: Field, descriptors: Sequence[int] = ()) -> int:
        """Send a request, and give its number."""
        self._request += 1
        self._send(wire.encode(number, self._request, *fields))
        for descriptor in descriptors:
            socket.send_fds(self._socket, [b"\0"], [descriptor])
        return self._request

    def answer(self, wanted: int) -> Fields:
        """The answer to the last request. Raises RefusedError."""
        number, fields = self.receive()
        if fields.number() != self._request:
            raise NetworkError("the master answers something else than was asked")
        if number in (wire.FAILURE, wire.PERMISSION_DENIED):
            raise RefusedError(fields.text())
        if number != wanted:
            raise NetworkError(f"the master gives an unexpected answer ({number:#x})")
        return fields

    def receive(self) -> tuple[int, Fields]:
        """The next message. Raises NetworkError if the master is gone."""
        while (message := self._reader.next()) is None:
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except ConnectionResetError:
                data = b""
            if not data:
                raise NetworkError("the master of the shared connection is gone")
            self._reader.receive(data, [])
        return message[0], message[1]

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # what it said before it left is read now
            self._socket.sendall(data)

    def pid(self) -> int:
        """The master's process."""
        self.ask(wire.ALIVE_CHECK)
        return self.answer(wire.ALIVE).number()

    def fileno(self) -> int:
        """Its socket."""
        return self._socket.fileno()


def connect(path: str) -> Master:
    """The master at this path. Raises OSError if there is none, QshError if it is not to be
    trusted: whoever serves us gets our standard files."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
        _, uid, _ = _CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.geteuid()):
            raise QshError(f"{path} belongs to another user (uid {uid})")
        master = Master(sock)
        master.greet()
    except BaseException:
        sock.close()
        raise
    return master


def find_master(settings: "ClientSettings", *, must_exist: bool) -> Master | None:
    """The master at ControlPath, if one is to be used and is there. Raises QshError if there
    must be one."""
    path = settings.control_path
    if path is None:
        if must_exist:
            raise UsageError("No ControlPath specified for \"-O\" command")
        return None
    if not must_exist and settings.control_master in ("yes", "ask"):
        return None
    try:
        return connect(path)
    except OSError as error:
        if must_exist:
            raise NetworkError(f"Control socket connect({path}): {error.strerror}") from None
        if isinstance(error, ConnectionRefusedError) and settings.control_master != "no":
            _log.debug1("Stale control socket %s, unlinking", path)
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108  (pathlib costs start-up time)
        elif isinstance(error, FileNotFoundError):
            _log.debug1('Control socket "%s" does not exist', path)
        else:
            _log.error("Control socket connect(%s): %s", path, error.strerror)
    except DecodeError as error:
        if must_exist:
            raise
        _log.error("%s: %s", path, error)
    return None


# ------------------------------------------------------------ forwards


def change_forwards(master: Master, settings: "ClientSettings", *, cancel: bool = False) -> None:
    """Have the master open, or close, the forwards of the settings. Raises RefusedError."""
    for field, kind in _KINDS.items():
        for spec in getattr(settings, field):
            number = wire.CLOSE_FORWARD if cancel else wire.OPEN_FORWARD
            request = master.ask(number, kind, *_forward_fields(spec))
            _take_forward_answer(master, request, spec)


def _forward_fields(spec: "ForwardSpec") -> tuple[str, int, str, int]:
    if spec.is_udp:
        raise UsageError("forwards of UDP cannot be changed over a shared connection")
    listen, target = spec.listen, spec.target
    words: list[str | int] = []
    for place in (listen, target):
        if place is None:
            words += ("", 0)
        elif place.path:
            words += (place.path, wire.UNIX_SOCKET)
        else:
            words += (_host_word(place.host, is_listener=place is listen), place.port)
    host, port, target_host, target_port = words
    assert isinstance(host, str) and isinstance(port, int)  # noqa: PT018
    assert isinstance(target_host, str) and isinstance(target_port, int)  # noqa: PT018
    return host, port, target_host, target_port


def _host_word(host: str | None, *, is_listener: bool) -> str:
    """ssh's way to write a listener's address: nothing is the default, `*` everywhere."""
    return ("*" if host == "" and is_listener else host) or ""


def _take_forward_answer(master: Master, request: int, spec: "ForwardSpec") -> None:
    number, fields = master.receive()
    if fields.number() != request:
        raise NetworkError("the master answers something else than was asked")
    match number:
        case wire.OK:
            return
        case wire.REMOTE_PORT:
            port = fields.number()
            _log.info("Allocated port %d for remote forward to %s", port, spec.target or "SOCKS")
            sys.stdout.write(f"{port}\n")
            sys.stdout.flush()
        case wire.FAILURE | wire.PERMISSION_DENIED:
            raise RefusedError(f"forward of {spec.listen}: {fields.text()}")
        case _:
            raise NetworkError(f"the master gives an unexpected answer ({number:#x})")


# ------------------------------------------------------------ sessions


def run_session(master: Master, plan: "SessionPlan | None", settings: "ClientSettings",
                started: Callable[[], None] = lambda: None) -> int:
    """The session of the plan; gives the exit status. `started` is called once it runs. Raises
    QshError."""
    change_forwards(master, settings)
    if plan is None:
        started()
        with contextlib.suppress(NetworkError):
            master.receive()  # the forwards are the master's: stay as long as they do
        return 0
    pid = master.pid()
    descriptors = (0, 1, 2)
    if not plan.reads_stdin:
        descriptors = (os.open(os.devnull, os.O_RDONLY), 1, 2)
    master.ask(wire.NEW_SESSION, *session_fields(plan), descriptors=descriptors)
    session = master.answer(wire.SESSION_OPENED).number()
    started()
    return wait(master, pid, session, settings.original_host, has_terminal=plan.pty is not None)


def session_fields(plan: "SessionPlan") -> list[Field]:
    """Of NEW_SESSION, after the request's number."""
    from qsh.wire.start_messages import ExecRequest, SubsystemRequest

    command: bytes = b""
    if isinstance(plan.start, ExecRequest):
        command = plan.start.command
    elif isinstance(plan.start, SubsystemRequest):
        command = plan.start.subsystem.encode()
    escape = plan.escape[0] if plan.escape else wire.NO_ESCAPE
    variables = [f"{variable.variable}={variable.value}" for variable in plan.environment]
    return [
        b"", plan.pty is not None, False, plan.forwards_agent,
        isinstance(plan.start, SubsystemRequest), escape,
        plan.pty.term if plan.pty else os.environ.get("TERM", ""), command, *variables,
    ]  # fmt: skip


def run_stdio(master: Master, host: str, port: int) -> int:
    """`-W`: standard input and output lead to host and port. Raises QshError."""
    pid = master.pid()
    master.ask(wire.NEW_STDIO, b"", host, port, descriptors=(0, 1))
    session = master.answer(wire.SESSION_OPENED).number()
    with contextlib.suppress(NetworkError):  # ssh's master ends it by hanging up
        wait(master, pid, session, host, has_terminal=False)
    return 0


class _Signalled(Exception):  # noqa: N818  (no error: somebody's wish)
    pass


def wait(master: Master, pid: int, session: int, host: str, *, has_terminal: bool) -> int:
    """Until the session is over; its exit status. The window's size and ^Z are our part."""
    console = Console()

    def leave(number: int, _frame: object) -> None:
        raise _Signalled(number)

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)

    def resized(*_: object) -> None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGWINCH)  # the master then looks at all its windows

    def continued(*_: object) -> None:
        console.resume()
        resized()

    if has_terminal:
        console.make_raw()
        signal.signal(signal.SIGWINCH, resized)
        signal.signal(signal.SIGCONT, continued)
    try:
        status = _until_exit(master, session, console)
        if has_terminal:
            console.restore()
            _log.info("Shared connection to %s closed.", host)
        return status
    except _Signalled as received:
        _log.debug1("killed by signal %s", received)
        return EXIT_OWN_ERROR
    except NetworkError:
        if has_terminal:
            console.restore()
            _log.info("Shared connection to %s closed.", host)
            return EXIT_OWN_ERROR
        raise
    finally:
        console.restore()


def _until_exit(master: Master, session: int, console: Console) -> int:
    while True:
        number, fields = master.receive()
        match number:
            case wire.EXIT_MESSAGE if fields.number() == session:
                return fields.number() & 0xFF
            case wire.TTY_FAILED:
                console.restore()
                _log.info("the server gives no pseudo-terminal")


def ride(master: Master, settings: "ClientSettings", command: tuple[str, ...],
         stdio: str | None) -> int:
    """The command, or -W, over the master's connection; the exit status. Raises QshError."""
    if stdio is not None:
        from qsh.config.forward_specs import parse_stdio

        try:
            place = parse_stdio(stdio)
        except ValueError as error:
            raise UsageError(f"-W: {error}") from None
        if place.path:
            return run_stdio(master, place.path, wire.UNIX_SOCKET)
        return run_stdio(master, place.host or "", place.port)
    from qsh.client.plan import LocalTerminal, plan_session

    console = Console()
    terminal = LocalTerminal(console.is_terminal)
    plan = plan_session(settings, command, os.environ, terminal)
    if settings.fork_after_authentication:
        from qsh.client.background import run_in_background

        return run_in_background(
            lambda detach: _in_background(master, plan, settings, detach),
            keeps_output=plan is not None,
        )
    return run_session(master, plan, settings)


def _in_background(master: Master, plan: "SessionPlan | None", settings: "ClientSettings",
                   detach: Callable[[], None]) -> int:
    return run_session(master, plan, settings, started=detach)
