"""The monitor's part in sessions: is it permitted, what exactly runs, and the fork of its holder.

Everything a worker asks for is judged here again, by the login's permissions and settings; what
the worker checked before was only for the sake of quick answers.
"""

import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass, field, replace

from qsh.auth.patterns import match_pattern
from qsh.errors import DecodeError
from qsh.forward.permissions import may_forward_agent, may_forward_x11, permits_nothing
from qsh.log import logger
from qsh.server import sandbox
from qsh.server.accounts import login_records, user_root, utmp
from qsh.server.accounts.accounts import Account
from qsh.server.accounts.environment import Peers, accepted_from_client, child_arguments
from qsh.server.accounts.rules import RulesError, Surroundings
from qsh.server.holder.door import Door
from qsh.server.holder.holder import run_holder
from qsh.server.holder.opener import run_opener
from qsh.server.holder.pty import Size, Terminal, open_terminal
from qsh.server.holder.start import SessionPlan
from qsh.server.listener.connection_ids import ServerKeys
from qsh.server.monitor.forward_rules import OpenerPlan, plan_opener
from qsh.server.monitor.kept_sessions import About, KeptSessions, NotKeptError
from qsh.server.monitor.login_check import Login, may_have_pty
from qsh.server.monitor.messages import SessionKind, SessionStarted, StartSession, decode_pairs
from qsh.server.worker.x11 import X11Session, plan_x11
from qsh.sftp.server import is_internal

_log = logger("session")

MAX_TERM = 256


class SessionRefusedError(Exception):
    """Not permitted, or not possible; the text is for the log."""


@dataclass(slots=True)
class Entry:
    """What the account's rules said when the first session began."""

    surroundings: Surroundings
    notes: str
    """What the user has not been shown yet."""
    is_denied: bool = False


@dataclass(slots=True)
class Sessions:
    """The sessions of one connection. `keys` are wiped in every holder."""

    peers: Peers
    keys: ServerKeys
    kept: KeptSessions
    holders: dict[int, int] = field(default_factory=dict)
    """Process ID of each living holder, and of the opener, to its pidfd."""
    _abouts: dict[int, About] = field(default_factory=dict)
    _records: dict[int, utmp.Record] = field(default_factory=dict)
    _opener: int = 0
    _entry: Entry | None = None

    def start(self, login: Login, request: StartSession) -> tuple[socket.socket, SessionStarted]:
        """Start a session: the worker's end of the socket to its holder, and what it is to know.
        Raises SessionRefusedError."""
        if len(self.holders) - (self._opener in self.holders) >= login.settings.max_sessions:
            raise SessionRefusedError("no more sessions")
        terminal = self._open_terminal(login, request) if request.pty else None
        try:
            plan = self._under_rules(plan_session(login, request, self.peers, terminal), login)
            keeping = self.kept.keeping(login, request.session, request.label,
                                        has_terminal=terminal is not None)  # fmt: skip
            plan = replace(plan, keeping=keeping)
            child, worker_end = self._start_holder(login, request, plan, terminal)
        except NotKeptError as error:
            raise SessionRefusedError(str(error)) from None
        except OSError as error:
            raise SessionRefusedError(f"cannot start a process: {error.strerror}") from None
        finally:
            if terminal is not None:
                terminal.close()
        self.holders[child] = os.pidfd_open(child)
        if terminal is not None and sandbox.is_root():
            self._records[child] = self._note_login(login, terminal, child)
        self._tell(login, request, plan)
        return worker_end, SessionStarted(plan.is_forced, plan.keeping is not None)

    def _start_holder(self, login: Login, request: StartSession, plan: SessionPlan,
                      terminal: Terminal | None) -> tuple[int, socket.socket]:
        worker_end, holder_end = socket.socketpair()
        about, door = None, None
        try:
            if plan.keeping is not None:
                about, listening = self.kept.open(plan, login, request.session)
                door = Door(listening, os.geteuid())
            child = os.fork()
            if child == 0:
                self._hold(plan, holder_end, terminal, door)
        except BaseException:
            worker_end.close()
            if about is not None:
                self.kept.forget(about)
            raise
        finally:
            holder_end.close()
            if door is not None:
                door.socket.close()
        if about is not None:
            self._abouts[child] = about
        return child, worker_end

    def end(self) -> None:
        """Have all of them hang up."""
        for pidfd in self.holders.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)

    def start_opener(self, login: Login) -> socket.socket:
        """Start the user's opener: the worker's end of the socket to it. Raises
        SessionRefusedError."""
        plan = _opener_plan(login)
        if permits_nothing(plan.rules):
            raise SessionRefusedError("administratively prohibited")
        entry = self.enter(login)
        root = _root_of(login)
        plan = plan_opener(_with_groups(login.account, entry), login.settings, login.permissions)
        try:
            worker_end, opener_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            child = os.fork()
            if child == 0:
                self._open(plan, opener_end, root)
            opener_end.close()
        except OSError as error:
            raise SessionRefusedError(f"cannot start a process: {error.strerror}") from None
        self._opener = child
        self.holders[child] = os.pidfd_open(child)
        return worker_end

    def _open(self, plan: OpenerPlan, worker: socket.socket, root: str | None) -> None:
        """In the new process. Never returns."""
        try:
            sandbox.close_all_but({0, 1, 2, worker.fileno()})
            self.keys.wipe()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sandbox.name_process("qsh-opener")
            sandbox.null_standard_files()
            user_root.enter(root)
            sandbox.become_user(plan.account)
            run_opener(plan, worker)
        finally:
            os._exit(255)

    def reap(self, child: int) -> None:
        """The holder with this process ID has ended."""
        os.close(self.holders.pop(child))
        about = self._abouts.pop(child, None)
        if about is not None:
            self.kept.forget(about)
        record = self._records.pop(child, None)
        if record is not None:
            utmp.record_logout(record, time.time())
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)

    def _under_rules(self, plan: SessionPlan, login: Login) -> SessionPlan:
        """The plan as the account's own rules change it. They are asked once: the session that
        they open is the connection's, and lasts until its last process has ended."""
        entry = self._enter(login)
        account = _with_groups(plan.account, entry)
        notes = entry.notes
        if plan.has_terminal and not entry.is_denied:
            entry.notes = ""  # shown once
        return replace(
            plan, account=account, notes=notes, from_rules=entry.surroundings.environment,
            is_denied=entry.is_denied, must_change_password=login.must_change_password,
            is_forced=plan.is_forced or entry.is_denied or login.must_change_password,
        )  # fmt: skip

    def enter(self, login: Login) -> Entry:
        """What stands before all that a login may have: the account's rules. Raises
        SessionRefusedError if they refuse."""
        entry = self._enter(login)
        if entry.is_denied:
            raise SessionRefusedError("the account's rules refuse a session")
        return entry

    def _enter(self, login: Login) -> Entry:
        if self._entry is None:
            self._entry = _enter(login)
        return self._entry

    def _open_terminal(self, login: Login, request: StartSession) -> Terminal:
        if not may_have_pty(login):
            raise SessionRefusedError("Pty allocation disabled.")
        size = Size(request.columns, request.rows, request.width_px, request.height_px)
        try:
            with sandbox.as_user(login.account):
                return open_terminal(size, request.modes)
        except OSError as error:
            raise SessionRefusedError(f"cannot open a terminal: {error.strerror}") from None

    def _hold(self, plan: SessionPlan, worker: socket.socket, terminal: Terminal | None,
              door: Door | None) -> None:  # fmt: skip
        """In the new process. Never returns."""
        try:
            ends = {terminal.master, terminal.slave} if terminal else set()
            if door is not None:
                door.claim()
                ends.add(door.socket.fileno())
            sandbox.close_all_but({0, 1, 2, worker.fileno(), *ends})
            self.keys.wipe()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sandbox.name_process("qsh-holder")
            sandbox.null_standard_files()
            user_root.enter(plan.root)
            sandbox.become_user(plan.account)
            run_holder(plan, worker, terminal, door)
        finally:
            os._exit(255)

    def _note_login(self, login: Login, terminal: Terminal, child: int) -> utmp.Record:
        address = self.peers.remote[0]
        record = utmp.Record(
            utmp.RecordType.USER_PROCESS, child, terminal.name.removeprefix("/dev/"),
            login.account.name, login.hostname or address, address, time.time(),
        )  # fmt: skip
        utmp.record_login(record)
        return record

    def _tell(self, login: Login, request: StartSession, plan: SessionPlan) -> None:
        what = {SessionKind.SHELL: "shell", SessionKind.EXEC: "command"}.get(
            SessionKind(request.kind), "subsystem"
        )
        forced = "forced-command " if plan.command is not None and plan.is_forced else ""
        where = f" on {plan.tty.removeprefix('/dev/')}" if plan.tty else ""
        host, port = self.peers.remote
        _log.verbose("Starting session: %s%s%s for %s from %s port %d",
                     forced, what, where, login.account.name, host, port)  # fmt: skip


def _opener_plan(login: Login) -> OpenerPlan:
    return plan_opener(login.account, login.settings, login.permissions)


def _with_groups(account: Account, entry: Entry) -> Account:
    groups = entry.surroundings.groups
    return account if groups is None else replace(account, groups=groups)


def _enter(login: Login) -> Entry:
    if login.rules is None:
        return Entry(Surroundings(), login.notes)
    is_denied, surroundings = False, Surroundings()
    try:
        surroundings = login.rules.open_session(login.account)
    except RulesError as error:
        _log.error("session of %s: %s", login.account.name, error)
        is_denied = True
    notes = "\n".join(filter(None, (login.notes, login.rules.take_notes())))
    return Entry(surroundings, notes, is_denied)


def plan_session(
    login: Login, request: StartSession, peers: Peers, terminal: Terminal | None
) -> SessionPlan:
    """What the holder is to run. Raises SessionRefusedError."""
    settings, permissions, account = login.settings, login.permissions, login.account
    asked, command = _asked_command(login, request)
    forced = settings.force_command or permissions.command
    if isinstance(forced, str):
        forced = forced.encode("utf-8", "surrogateescape")
    if forced is not None:
        command = forced
    is_subsystem = request.kind == SessionKind.SUBSYSTEM
    runs_sftp = command is not None and is_internal(command)
    is_login_shell = command is None and terminal is not None
    try:
        variables = decode_pairs(request.variables)
    except DecodeError as error:
        raise SessionRefusedError(str(error)) from None
    patterns = _environment_patterns(settings.permit_user_environment)
    return SessionPlan(
        account=account, peers=peers, arguments=child_arguments(account.shell, command),
        command=command, original_command=asked if forced is not None else None,
        is_forced=forced is not None or is_subsystem, is_subsystem=is_subsystem,
        runs_sftp=runs_sftp and (is_subsystem or forced is not None),
        has_terminal=terminal is not None, tty=terminal.name if terminal else None,
        term=request.term[:MAX_TERM] if terminal else "",
        from_client=accepted_from_client(variables, settings.accept_env),
        from_key=_from_key(permissions.environment, patterns),
        from_settings=dict(settings.set_env), environment_patterns=patterns,
        user_rc=_may_run_rc(login) and not is_subsystem,
        print_motd=is_login_shell and settings.print_motd,
        last_login=_last_login(login, peers, terminal) if is_login_shell else "",
        agent=request.agent if may_forward_agent(_opener_plan(login).rules) else "",
        x11=_display(login, request), root=_root_of(login),
        auth_info=login.auth_info.path() if login.auth_info is not None else "",
    )  # fmt: skip


def _may_run_rc(login: Login) -> bool:
    """Not beside an administrator's forced command, which it would get around."""
    settings = login.settings
    return (
        settings.permit_user_rc and settings.force_command is None and login.permissions.user_rc
    )


def _root_of(login: Login) -> str | None:
    try:
        return user_root.root_for(login.settings.chroot_directory, login.account)
    except user_root.RootError as error:
        raise SessionRefusedError(str(error)) from None


def _display(login: Login, request: StartSession) -> X11Session | None:
    if not may_forward_x11(_opener_plan(login).rules):
        return None
    settings = login.settings
    try:
        return plan_x11(request.x11, uses_localhost=settings.x11_use_localhost,
                        xauth=settings.x_auth_location)  # fmt: skip
    except DecodeError as error:
        raise SessionRefusedError(str(error)) from None


def _asked_command(login: Login, request: StartSession) -> tuple[bytes | None, bytes | None]:
    """What the client asked for, as SSH_ORIGINAL_COMMAND shows it, and what would run."""
    if request.kind == SessionKind.SHELL:
        return None, None
    if request.kind == SessionKind.EXEC:
        if b"\0" in request.command:
            raise SessionRefusedError("command with a NUL")
        return request.command, request.command
    name = request.command.decode("utf-8", "replace")
    for subsystem, program in login.settings.subsystems:
        if subsystem == name:
            command = program.encode("utf-8", "surrogateescape")
            return command, command
    raise SessionRefusedError(f"subsystem request for {name} failed, subsystem not found")


def _environment_patterns(permitted: str) -> tuple[str, ...]:
    """PermitUserEnvironment as patterns of names."""
    if permitted in ("no", ""):
        return ()
    return ("*",) if permitted == "yes" else tuple(permitted.split(","))


def _from_key(
    variables: tuple[tuple[str, str], ...], patterns: tuple[str, ...]
) -> dict[str, str]:
    return {
        name: value
        for name, value in variables
        if any(match_pattern(name, pattern) for pattern in patterns)
    }


def _last_login(login: Login, peers: Peers, terminal: Terminal | None) -> str:
    """lastlog(5): note this login, and say when the one before was."""
    uid = login.account.uid
    before = login_records.read_last_login(uid)
    if sandbox.is_root() and terminal is not None:
        host = login.hostname or peers.remote[0]
        now = login_records.LastLogin(time.time(), terminal.name, host)
        login_records.write_last_login(uid, now)
    if before is None or not login.settings.print_last_log:
        return ""
    return login_records.last_login_line(before)
