"""The monitors' table of sessions that are kept: who may have one, who may come back to it.

    sessions/ in the run directory
        UID-NUMBER         the holder's door (server.holder_door)
        UID-NUMBER.about   what the session's first monitor wrote down, for root's eyes

What decides stands in the second, which only the daemon's user can write; a holder is its user's
process, and what it says of itself is only shown. A session whose door nobody answers is over.
"""

import contextlib
import os
import re
import socket
import time
from dataclasses import dataclass

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.paths import make_private
from qsh.server.holder import door as holder_door
from qsh.server.holder.door import Described, Found
from qsh.server.holder.start import Keeping, SessionPlan
from qsh.server.monitor.login_check import Login, may_have_pty
from qsh.server.monitor.tickets import ABOUT, Tickets
from qsh.server.run_directory import bind_socket
from qsh.wire.codec import UInt32, UInt64, Writer, decode_body, encode_body
from qsh.wire.session_messages import SESSION_LENGTH, SessionEntry

_log = logger("session")

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}\Z")
"""What users may call sessions: nothing that a terminal or a shell could take amiss."""
NUMBER = re.compile(r"[0-9a-f]{32}\Z")
MAX_SHOWN = 256
YOUNG = 60
"""Seconds in which a session without a holder is just being made."""
SILENT = "does not answer"
"""In the place of who is attached to a session whose holder was stopped."""
FOLDER = "sessions"


@dataclass(frozen=True, slots=True)
class About:
    """One session, as its first monitor saw it. `forced` is the forced command it runs, `proof`
    that of the login that began it."""

    uid: UInt32
    session: bytes
    label: str
    user: str
    command: str
    terminal: str
    is_forced: bool
    forced: bytes
    root: str
    began: UInt64
    monitor: UInt32
    proof: str

    @property
    def name(self) -> str:
        """Of its door."""
        return f"{self.uid}-{self.session.hex()}"


Sessions = dict[About, Found]
"""Living ones, the oldest first, and how they are."""


def folder_beside(connections: str) -> str:
    """The table's folder in the run directory that has the folder `connections`; empty where there
    is none, or it cannot be trusted."""
    if not connections:
        return ""
    try:
        return make_private(f"{os.path.dirname(connections)}/{FOLDER}")
    except OSError as error:
        _log.error("no session can be kept: %s", error)
        return ""


class NotKeptError(Exception):
    """There is no such session, or this login may not have it; the text is for the log."""


class KeptSessions:
    """The table. `folder` is empty where nothing can be kept."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    # ------------------------------------------------------------ new ones

    def keeping(self, login: Login, session: bytes, label: str, *, has_terminal: bool
                ) -> Keeping | None:  # fmt: skip
        """How a new session is to be kept; None if it is not. Raises NotKeptError for a label
        that cannot be."""
        settings = login.settings
        timeout = settings.session_timeout if has_terminal else settings.command_timeout
        if not self.folder or len(session) != SESSION_LENGTH or timeout == 0:
            return None
        others = self.of_user(login.account.uid)
        if label and (not LABEL.match(label) or NUMBER.match(label)):
            raise NotKeptError("not a name for a session")
        if label and any(other.label == label for other in others):
            raise NotKeptError(f"there is a session {label} already")
        if any(other.session == session for other in others):
            raise NotKeptError("the number of another session")
        if len(others) >= settings.max_kept_sessions:
            if label:
                raise NotKeptError("no more sessions are kept (MaxKeptSessions)")
            return None
        policy = settings.detached_output if has_terminal else "wait"
        return Keeping(label, timeout, policy != "wait", policy == "screen")

    def open(self, plan: SessionPlan, login: Login, session: bytes) -> tuple[About, socket.socket]:
        """Make the session's door, and write down what it is. Raises OSError."""
        assert plan.keeping is not None
        shown = (plan.command or b"").decode("utf-8", "replace")[:MAX_SHOWN]
        about = About(
            login.account.uid, session, plan.keeping.name, login.account.name, shown,
            plan.tty or "", plan.is_forced, forced_command(login),
            login.settings.chroot_directory or "", int(time.time()), os.getpid(),
            login.proof,
        )  # fmt: skip
        path = f"{self.folder}/{about.name}{ABOUT}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(encode_body(about))
            return about, bind_socket(self.folder, about.name)
        except OSError:
            os.unlink(path)  # noqa: PTH108
            raise

    def forget(self, about: About) -> None:
        """It is over."""
        for suffix in ("", ABOUT):
            with contextlib.suppress(OSError):
                os.unlink(f"{self.folder}/{about.name}{suffix}")  # noqa: PTH108
        Tickets(self.folder).forget(about.uid, about.session)

    # ------------------------------------------------------------ those there are

    def of_user(self, uid: int) -> Sessions:
        """The living sessions of an account."""
        return self.all(f"{uid}-")

    def of_login(self, login: Login) -> Sessions:
        """Those of them that this login may have. Of the others it hears nothing: their command
        lines are not for a key that is bound to a command of its own."""
        sessions = self.of_user(login.account.uid)
        return {one: found for one, found in sessions.items() if not refusal(login, one)}

    def all(self, prefix: str = "") -> Sessions:
        """All living sessions; `prefix` is that of their doors' names. What nobody holds any more
        is cleared away."""
        names = os.listdir(self.folder) if self.folder else []
        abouts = [about for name in names if name.startswith(prefix) and name.endswith(ABOUT)
                  and (about := self._read(name)) is not None]  # fmt: skip
        found = holder_door.describe_all(self.folder, [about.name for about in abouts])
        for about in abouts:
            if about.name not in found and time.time() - about.began > YOUNG:
                self.forget(about)
        abouts.sort(key=lambda about: (about.began, about.session))
        return {about: found[about.name] for about in abouts if about.name in found}

    def _read(self, name: str) -> About | None:
        try:
            with open(f"{self.folder}/{name}", "rb") as file:
                about = decode_body(About, file.read())
        except (OSError, DecodeError):
            return None
        return about if isinstance(about, About) else None

    def find(self, login: Login, which: str) -> About:
        """The session that a login may attach to or end. Raises NotKeptError."""
        if which:
            of_user = self.of_user(login.account.uid)
            found = [one for one in of_user if which in (one.label, one.session.hex())]
        else:
            sessions = list(self.of_login(login))
            found = [one for one in sessions if one.terminal] or sessions
        if not found:
            raise NotKeptError("no such session")
        if len(found) > 1:
            raise NotKeptError("several sessions, and none was named")
        refused = refusal(login, found[0])
        if refused:
            raise NotKeptError(refused)
        return found[0]

    def attach(self, about: About) -> socket.socket:
        """A worker's socket to its holder. Raises NotKeptError."""
        try:
            return holder_door.join(self.folder, about.name)
        except OSError as error:
            raise NotKeptError(f"its holder does not answer: {error.strerror}") from None

    def end(self, about: About) -> None:
        """Have it hang up. Raises NotKeptError."""
        try:
            holder_door.end(self.folder, about.name)
        except OSError as error:
            raise NotKeptError(f"its holder does not answer: {error.strerror}") from None

    def entries(self, sessions: Sessions) -> bytes:
        """How they are, each as a string with a SessionEntry."""
        writer = Writer()
        for about, found in sessions.items():
            now = found.described or Described(False, SILENT, 0)
            alone = 0 if now.origins else max(1, int(time.time()) - now.alone)
            writer.string(encode_body(SessionEntry(
                about.session, about.label, about.command, about.terminal, about.began, alone,
                now.origins[:MAX_SHOWN], now.has_ended,
            )))  # fmt: skip
        return writer.finish()


def forced_command(login: Login) -> bytes:
    """What this login must run; empty for what it likes."""
    forced = login.settings.force_command or login.permissions.command or b""
    return forced.encode("utf-8", "surrogateescape") if isinstance(forced, str) else forced


def refusal(login: Login, about: About) -> str:
    """Why a login may not attach to a session; empty if it may. One that is bound to a command
    may have only sessions that the same command and the same key began: else a key for one purpose
    would open the shell of another, and one of several people on an account the others' sessions.
    """
    if about.uid != login.account.uid:
        return "it is another user's"
    if login.only_session and about.session != login.only_session:
        return "the session ticket is another's"
    if login.must_change_password:
        return "the password must be changed first"
    forced = forced_command(login)
    if forced and about.forced != forced:
        return "the login is bound to another command"
    if forced and about.proof != login.proof:
        return "another key began it, and the login is bound to a command"
    if (login.settings.chroot_directory or "") != about.root:
        return "the login has another ChrootDirectory"
    if about.terminal and not may_have_pty(login):
        return "Pty allocation disabled."
    return ""
