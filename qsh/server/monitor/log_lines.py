"""What the monitor's log says of the end of a connection, in sshd's words. Pure.

Filters such as fail2ban's are written for these lines: where they change, a ban is lost.
"""

from dataclasses import dataclass

from qsh.log import Level
from qsh.quic.events import IDLE_TIMEOUT

MAX_LOG_TEXT = 1000
"""Characters of a worker's text: it may be in a stranger's hands."""


@dataclass(frozen=True, slots=True)
class User:
    """Who the client said it is, and whether there is such an account that may come in."""

    name: str
    is_valid: bool


def worker_line(level: int, text: str) -> tuple[Level, str, str]:
    """Level, format and argument for a line of the worker's, marked as such: it cannot pass for
    one of the monitor's."""
    return Level(min(max(level, Level.ERROR), Level.DEBUG3)), "%s [worker]", text[:MAX_LOG_TEXT]


def ended_line(
    origin: str, user: User | None, reason: str, *, by_peer: bool, is_logged_in: bool
) -> str:
    """`origin` is `ADDRESS port NUMBER`."""
    mark = "" if is_logged_in else " [preauth]"
    who = origin
    if user is not None:
        role = "" if is_logged_in else "authenticating " if user.is_valid else "invalid "
        who = f"{role}user {user.name} {who}"
    if reason == IDLE_TIMEOUT:
        return f"Timeout, client not responding from {who}{mark}"
    if by_peer:
        return f"Disconnected from {who}" if is_logged_in else f"Connection closed by {who}{mark}"
    return f"Disconnecting {who}: {reason[:MAX_LOG_TEXT]}{mark}"
