"""qshctl: what an administrator sees of the sessions that are kept, and can do about them.

Reads the run directory as monitors do. Root sees all users' sessions; anyone else those of a qshd
of his own.
"""

import getopt
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from qsh import __version__
from qsh.errors import EXIT_OWN_ERROR, QshError, UsageError
from qsh.log import printable
from qsh.server.holder import door
from qsh.server.holder.behind import pid_behind
from qsh.server.monitor.kept_sessions import FOLDER, SILENT, About, KeptSessions
from qsh.server.run_directory import default_base

PROGRAM = "qshctl"
HELP = """\
usage: qshctl [--json] [--run-dir folder] sessions
       qshctl [--force] [--run-dir folder] kill session ...

  sessions      list the sessions that are kept, of all users
  kill          end sessions, named by USER/NAME, or by NAME or number where that is one only
  --force       kill holders that do not obey within 5 seconds
  --json        for programs
  --run-dir F   where qshd keeps its sockets (root: /run/qshd)
  -V            print the version and exit
"""
HINT = "qshctl --help lists the commands"
LONG_OPTIONS = ("force", "help", "json", "run-dir=", "version")
KILL_PATIENCE = 5.0
"""Seconds for a session to hang up."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is shown. `pid` is its holder's, 0 if that does not answer; times are seconds
    since 1970; `attached` the clients' addresses, None if nobody could be asked; `memory` the
    holder's resident bytes."""

    user: str
    name: str
    session: str
    command: str
    terminal: str
    began: int
    left: int
    attached: str | None
    has_ended: bool
    pid: int
    memory: int


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit status."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except QshError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{PROGRAM}: {error.strerror}: {error.filename or ''}", file=sys.stderr)
    return EXIT_OWN_ERROR


def _run(arguments: list[str]) -> int:
    try:
        found, words = getopt.gnu_getopt(arguments, "hV", list(LONG_OPTIONS))
    except getopt.GetoptError as error:
        raise UsageError(f"{error.msg} ({HINT})") from None
    options = dict(found)
    if options.keys() & {"-h", "--help"}:
        print(HELP, end="")
        return 0
    if options.keys() & {"-V", "--version"}:
        print(f"{PROGRAM} {__version__}")
        return 0
    match words:
        case ["sessions"]:
            _list(_table(options), as_json="--json" in options)
            return 0
        case ["kill", *names] if names:
            return _kill(_table(options), names, by_force="--force" in options)
    raise UsageError(f"which command? ({HINT})")


def _table(options: dict[str, str]) -> KeptSessions:
    base = options.get("--run-dir") or default_base()
    folder = f"{base}/{FOLDER}"
    if not os.path.isdir(base):
        raise UsageError(f"no qshd keeps sessions in {base} (see --run-dir)")
    if not os.access(base, os.R_OK | os.X_OK):
        raise UsageError(f"{base} is for its owner only: run qshctl as root")
    return KeptSessions(folder if os.path.isdir(folder) else "")


def _sessions(table: KeptSessions) -> dict[About, Session]:
    return {about: _session(about, found) for about, found in table.all().items()}


def _session(about: About, found: door.Found) -> Session:
    now, said = int(time.time()), found.described
    is_left = said is not None and not said.origins
    return Session(
        about.user, about.label, about.session.hex(), about.command, about.terminal, about.began,
        now - said.alone if said is not None and is_left else 0,
        said.origins if said is not None else None,
        said is not None and said.has_ended, found.pid, _memory(found.pid),
    )  # fmt: skip


def _memory(pid: int) -> int:
    """Resident bytes of a process; 0 if it cannot be known. proc(5), statm."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


# -------------------------------------------------------------------- sessions


def _list(table: KeptSessions, *, as_json: bool) -> None:
    sessions = list(_sessions(table).values())
    if as_json:
        fields = Session.__slots__
        print(json.dumps([{name: getattr(one, name) for name in fields} for one in sessions]))
    else:
        print("\n".join(lines(sessions, time.time())))


def lines(sessions: Sequence[Session], now: float) -> list[str]:
    """The table for people."""
    rows = [("USER", "NAME", "AGE", "ATTACHED", "SIZE", "PID", "COMMAND")]
    for one in sessions:
        rows.append((
            printable(one.user), printable(one.name) or one.session, _age(now - one.began),
            _attached(one, now), f"{one.memory / 2**20:.1f}M" if one.memory else "-",
            str(one.pid or "-"), printable(one.command) or "(shell)",
        ))  # fmt: skip
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]


def _attached(one: Session, now: float) -> str:
    if one.attached is None:
        return SILENT
    if one.attached:
        return printable(one.attached)
    return f"{'ended, ' if one.has_ended else ''}left {_age(now - one.left)} ago"


def _age(seconds: float) -> str:
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return "0s"


# -------------------------------------------------------------------- kill


def _kill(table: KeptSessions, names: Sequence[str], *, by_force: bool) -> int:
    """Ends them all, or none if one of them is not to be found."""
    sessions, status = _sessions(table), 0
    chosen = [_find(sessions, name) for name in names]
    for about in chosen:
        if not _ends(table, about, sessions[about].pid, by_force=by_force):
            hint = "" if by_force else " (--force kills its holder)"
            print(f"{PROGRAM}: session {about.label or about.session.hex()} of {about.user} "
                  f"does not end{hint}", file=sys.stderr)  # fmt: skip
            status = 1
    return status


def _find(sessions: dict[About, Session], name: str) -> About:
    found = [about for about in sessions if name in (
        about.label, about.session.hex(), f"{about.user}/{about.label or about.session.hex()}")]
    if not found:
        raise UsageError(f"there is no session {name}")
    if len(found) > 1:
        users = ", ".join(sorted(about.user for about in found))
        raise UsageError(f"{users} have a session {name}: say USER/{name}")
    return found[0]


def _ends(table: KeptSessions, about: About, pid: int, *, by_force: bool) -> bool:
    pid = pid or pid_behind(about.name)
    try:
        holder = os.pidfd_open(pid) if pid else None
    except ProcessLookupError:
        return True
    try:
        with suppress(OSError):  # stopped; its backlog may take the wish nevertheless
            door.end(table.folder, about.name)
        if holder is None:
            return about not in table.all(about.name)
        if _has_ended(holder):
            return True
        # Of nobody's processes but that user's: a holder could have passed its door to others.
        if not by_force or _real_user(pid) != about.uid:
            return False
        signal.pidfd_send_signal(holder, signal.SIGKILL)
        return _has_ended(holder)
    except (OSError, ValueError):
        return holder is None or _has_ended(holder)
    finally:
        if holder is not None:
            os.close(holder)


def _has_ended(process: int) -> bool:
    return bool(select.select([process], [], [], KILL_PATIENCE)[0])


def _real_user(pid: int) -> int:
    """proc(5), status; the folder's owner is root for a process that was root's. Raises OSError,
    ValueError."""
    with open(f"/proc/{pid}/status") as file:
        return int(file.read().partition("\nUid:")[2].split()[0])
