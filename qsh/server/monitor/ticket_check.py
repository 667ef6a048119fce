"""The monitor's judgement of session tickets: would the proofs of then let the client in now?

All that a login by them is judged by counts again: the account, the addresses, the methods that
AuthenticationMethods asks for, each key's place in authorized_keys, its revocation. What is not
asked for again is the user's hand: the password, the answers, the touch.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qsh.auth.authorized_keys import Permissions
from qsh.auth.policy import Outcome
from qsh.auth.signing import session_identifier
from qsh.auth.tickets import verify_ticket
from qsh.errors import DecodeError, IdentityError
from qsh.log import logger
from qsh.server.accounts.accounts import Account
from qsh.server.monitor.granted import Given
from qsh.server.monitor.key_check import KeyCheck
from qsh.server.monitor.login_terms import HOST, KEY, Terms, policy_for
from qsh.server.monitor.tickets import Ticket, Tickets, is_unmarked
from qsh.wire.userauth_messages import PublicKeyRequest, TicketRequest

_log = logger("login")

Approved = tuple[tuple[Given, Permissions], ...]
"""The proofs, and what each permits now."""


@dataclass(frozen=True, slots=True)
class TicketCheck:
    """The tickets of one login. `keys` judges the keys of its connection, `clock` is wall-clock
    time."""

    terms: Terms
    tickets: Tickets
    keys: KeyCheck
    clock: Callable[[], float]

    def judge(self, request: TicketRequest, user: str, exporter: bytes) -> Approved | None:
        """What the ticket stands for; None if it is worth nothing, and the log says why."""
        account = self.terms.account
        session_id = session_identifier(exporter, self.keys.attestation)
        is_signed = request.host_key == self.keys.host_key and verify_ticket(
            request, session_id, user
        )
        if account is None or not is_signed:
            return None
        ticket = self.tickets.find(account, request.session, request.key_blob)
        if ticket is None:
            _log.info("no such session ticket")
            return None
        try:
            return self._approved(ticket, account)
        except _Refused as refused:
            _log.info("session ticket of %s refused: %s", account.name, refused)
        except (DecodeError, IdentityError) as error:
            _log.error("session ticket of %s cannot be read: %s", account.name, error)
        return None

    def _approved(self, ticket: Ticket, account: Account) -> Approved:
        settings = self.terms.settings
        if not ticket.is_fresh(self.clock(), settings.session_ticket_lifetime):
            raise _Refused("it has expired")
        if not ticket.is_password_as_it_was():
            raise _Refused("the account's password is another now")
        given, policy, outcome = ticket.given(), policy_for(settings), Outcome.REFUSED
        if is_unmarked(ticket.password, given):
            raise _Refused("nobody can tell whether the password is still the same")
        for one in given:
            outcome = policy.succeeded(one.method, one.detail, one.fingerprint)
        if outcome is not Outcome.ACCEPTED:
            raise _Refused("its login would not be enough any more")
        return tuple((one, self._permissions(one, account)) for one in given)

    def _permissions(self, given: Given, account: Account) -> Permissions:
        key = given.key
        if key is None:
            if given.method == KEY:
                raise _Refused("its key is missing")
            return Permissions()
        if given.method == HOST:
            raise _Refused("the client's host must vouch for it anew")
        body = PublicKeyRequest(given.algorithm, given.key_blob)
        permissions = self.keys.permissions(key, body, account)
        if permissions is None:
            raise _Refused(f"{key.key_type_name} key {key.fingerprint()} may not log in now")
        touch, verify = self.keys.demands(permissions)
        if key.is_security_key and (touch > given.touched or verify > given.verified):
            raise _Refused("its security key must be asked again")
        return permissions


class _Refused(Exception):  # noqa: N818
    """The ticket is not good now; the text is for the log."""
