"""The monitor's answers about sessions that are kept: attach, list, end."""

from typing import Any, Protocol

from qsh.log import logger
from qsh.server.monitor.keeping_messages import (
    AttachSession,
    EndSession,
    ListSessions,
    SessionAttached,
    SessionEnded,
    SessionsListed,
)
from qsh.server.monitor.kept_sessions import KeptSessions, NotKeptError
from qsh.server.monitor.login_check import Login
from qsh.server.monitor.messages import SessionRefused
from qsh.server.monitor.rules import IDLE, Rule
from qsh.server.monitor.sessions import SessionRefusedError, Sessions

_log = logger("session")

MAX_ATTACHES = 1000
"""On one connection."""


class _Monitor(Protocol):
    """As much of a monitor as the rules below need."""

    reached: set[bytes]

    @property
    def standing_login(self) -> Login: ...

    @property
    def kept(self) -> KeptSessions: ...

    @property
    def sessions(self) -> Sessions: ...


def _attach(monitor: _Monitor, request: AttachSession) -> Any:
    """The account's rules are asked as for a new session: who may not begin one must not come back
    to one either."""
    login = monitor.standing_login
    try:
        about = monitor.kept.find(login, request.session)
        monitor.sessions.enter(login)
        sock = monitor.kept.attach(about)
    except (NotKeptError, SessionRefusedError) as error:
        _log.info("%s may not attach to a session: %s", login.account.name, error)
        return SessionRefused(str(error))
    monitor.reached.add(about.session)
    _log.verbose("Attaching %s to session %s", login.account.name, about.name)
    return SessionAttached(about.session, about.is_forced), sock


def _list(monitor: _Monitor, _request: ListSessions) -> Any:
    kept = monitor.kept
    return SessionsListed(kept.entries(kept.of_login(monitor.standing_login)))


def _end(monitor: _Monitor, request: EndSession) -> Any:
    login = monitor.standing_login
    try:
        about = monitor.kept.find(login, request.session)
        monitor.kept.end(about)
    except NotKeptError as error:
        _log.info("%s cannot end a session: %s", login.account.name, error)
        return SessionEnded(False)
    _log.info("%s ends session %s", login.account.name, about.name)
    return SessionEnded(True)


KEEPING_RULES: dict[type, Rule] = {
    AttachSession: Rule(_attach, times=MAX_ATTACHES, logged_in=True, stages=IDLE),
    ListSessions: Rule(_list, times=MAX_ATTACHES, logged_in=True, stages=IDLE),
    EndSession: Rule(_end, times=MAX_ATTACHES, logged_in=True, stages=IDLE),
}
"""For the monitor's table."""
