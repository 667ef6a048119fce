"""qsh --list and --kill: the account's sessions on a server, asked for with the login."""

import time
from collections.abc import Awaitable, Callable, Iterable

from qsh.client.session_options import LIST, SessionWish
from qsh.errors import RequestError
from qsh.log import printable
from qsh.net.connection import Connection
from qsh.net.tasks import spawn
from qsh.wire.codec import Reader, decode_body
from qsh.wire.session_messages import EndSessionRequest, SessionEntry, SessionsRequest

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def manage(connection: Connection, wish: SessionWish) -> Callable[[], Awaitable[int]]:
    """Ask now; what is to be done once the login stands."""
    work = (show_sessions(connection) if wish.action == LIST
            else end_session(connection, wish.label))  # fmt: skip
    asked = spawn(work, "sessions")

    async def answered() -> int:
        return await asked

    return answered


async def show_sessions(connection: Connection) -> int:
    """Print one line for each; gives the exit status. Raises NetworkError, DecodeError."""
    data = await connection.request(SessionsRequest())
    for line in table(entries_of(data), time.time()):
        print(line)
    return 0


async def end_session(connection: Connection, label: str) -> int:
    """End it; gives the exit status. Raises RequestError if there is none."""
    try:
        await connection.request(EndSessionRequest(label))
    except RequestError:
        raise RequestError(f"there is no session {label}") from None
    return 0


def entries_of(data: bytes) -> list[SessionEntry]:
    """The answer to SessionsRequest. Raises DecodeError."""
    reader, entries = Reader(data), []
    while not reader.at_end:
        entries.append(decode_body(SessionEntry, reader.string()))
    return entries


def table(entries: Iterable[SessionEntry], now: float) -> list[str]:
    """Lines for the user: name, age, who is there, what runs."""
    rows = [("NAME", "AGE", "ATTACHED", "COMMAND")]
    for entry in entries:
        there = printable(entry.origins) if entry.origins else _alone(entry, now)
        rows.append((
            printable(entry.label) or entry.session.hex(), duration(now - entry.began), there,
            printable(entry.command) or "(shell)",
        ))  # fmt: skip
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    return [
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]


def _alone(entry: SessionEntry, now: float) -> str:
    state = "ended, left" if entry.has_ended else "left"
    return f"{state} {duration(now - entry.alone_since)} ago"


def duration(seconds: float) -> str:
    """Like 3d, 2h, 5m, 12s."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"
