"""The monitor's answer to a client that wants a ticket for its session."""

from typing import Any, Protocol

from qsh.auth.tickets import is_ticket_key
from qsh.log import logger
from qsh.server.monitor.kept_sessions import KeptSessions, NotKeptError
from qsh.server.monitor.login_check import Login
from qsh.server.monitor.rules import IDLE, Rule
from qsh.server.monitor.ticket_messages import TicketWritten, WriteTicket
from qsh.server.monitor.tickets import Ticket, Tickets, encode_proofs, is_unmarked

_log = logger("session")

MAX_WRITTEN = 16
"""On one connection."""


class _Monitor(Protocol):
    """As much of a monitor as the rule below needs."""

    reached: set[bytes]

    @property
    def standing_login(self) -> Login: ...

    @property
    def kept(self) -> KeptSessions: ...


def _write(monitor: _Monitor, request: WriteTicket) -> Any:
    login = monitor.standing_login
    why = refusal(login, request, monitor.reached)
    if not why:
        try:
            write_for(monitor.kept, login, request)
        except NotKeptError as error:
            why = str(error)
        except OSError as error:
            why = f"cannot write it: {error.strerror}"
    if why:
        _log.verbose("No ticket for a session of %s: %s", login.account.name, why)
    return TicketWritten(not why)


def write_for(kept: KeptSessions, login: Login, request: WriteTicket) -> None:
    """Write it down; nothing stays of it if the session ends meanwhile. Raises NotKeptError,
    OSError."""
    tickets, session = Tickets(kept.folder), request.session
    kept.find(login, session.hex())
    tickets.write(ticket_of(login, request))
    try:
        kept.find(login, session.hex())
    except NotKeptError:
        tickets.forget(login.account.uid, session)
        raise


def refusal(login: Login, request: WriteTicket, reached: set[bytes]) -> str:
    """Why there is no ticket; empty if there may be one. `reached` are the sessions that were
    begun or attached to on this connection: a worker has no say in the user's others."""
    if login.settings.session_ticket_lifetime == 0:
        return "SessionTicketLifetime is 0"
    if login.only_session:
        return "a ticket makes no other"
    if login.must_change_password:
        return "the password must be changed first"
    if is_unmarked(login.password, login.given):
        return "nobody could tell whether the password is still the same"
    if request.session not in reached:
        return "the session is not on this connection"
    return "" if is_ticket_key(request.key_blob) else "the key is none for tickets"


def ticket_of(login: Login, request: WriteTicket) -> Ticket:
    """What is written down."""
    account = login.account
    return Ticket(account.uid, account.name, request.session, request.key_blob,
                  int(login.began), login.password, encode_proofs(login.given))  # fmt: skip


TICKET_RULES: dict[type, Rule] = {
    WriteTicket: Rule(_write, times=MAX_WRITTEN, logged_in=True, stages=IDLE),
}
"""For the monitor's table."""
