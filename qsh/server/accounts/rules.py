"""The system's rules for the account of a login: its passwords, its expiry, its session.

Two sets of rules with one face: PAM's (pam_rules.py), and here those without PAM, by shadow(5).
Both take the same time for users that do not exist or may not use a password.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from qsh.log import logger
from qsh.server.accounts import shadow
from qsh.server.accounts.accounts import Account
from qsh.server.accounts.shadow import Age
from qsh.wire.userauth_messages import InfoRequest

_log = logger("login")


class Proof(Enum):
    """What a password, or the answers to questions, came to."""

    GOOD = "good"
    BAD = "bad"
    EXPIRED = "good, but to be changed first"


class Standing(Enum):
    """Whether the account may be used now, whatever proved that it is its user who comes."""

    GOOD = "good"
    CHANGE = "only to change the password"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The way to the user and to the clock, lent by whoever serves the connection."""

    ask: Callable[[InfoRequest], tuple[str, ...] | None]
    """Blocks until the user has answered; None if nobody will."""
    pause: Callable[[float], None]
    """Lets seconds pass; shorter if the connection ends."""


NOBODY = Dialogue(ask=lambda _: None, pause=lambda _: None)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules add to the user's processes. `groups` None: those of the account."""

    groups: tuple[int, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class RulesError(Exception):
    """The rules refuse a session; the text is for the log."""


class AccountRules(Protocol):
    """The rules for one user on one connection. All may block, and log what they decide."""

    method_detail: str
    """How the log calls who answers keyboard-interactive; empty if nobody does."""

    def check_password(self, password: str, new_password: str | None) -> Proof:
        """A password, and what it is to be changed to if it has expired."""

    def converse(self) -> Proof:
        """Question and answer (RFC 4256), for as many rounds as it takes."""

    def check_account(self) -> Standing:
        """Asked once it is clear that it is the user who comes, by a key as well."""

    def take_notes(self) -> str:
        """What the user is to be told, since it was last asked for."""

    def open_session(self, account: Account) -> Surroundings:
        """Before the first process of the user. Raises RulesError."""

    def close(self) -> None:
        """After the last one."""


def may_use_password(account: Account | None, permit_root_login: str) -> bool:
    """Whether any password can be right; None stands for an account that may not log in."""
    return account is not None and (account.uid != 0 or permit_root_login == "yes")


@dataclass(slots=True)
class ShadowRules:
    """The rules without PAM. `is_real` is `may_use_password`; `clock` is wall-clock time."""

    user: str
    is_real: bool
    may_be_empty: bool
    clock: Callable[[], float]
    path: str = shadow.SHADOW
    method_detail: str = ""
    _notes: str = ""

    def check_password(self, password: str, new_password: str | None) -> Proof:
        """A new password is left aside, as sshd does: the user is let in to change it."""
        is_right = shadow.check_password(
            self.user, password, is_real=self.is_real, may_be_empty=self.may_be_empty,
            path=self.path,
        )  # fmt: skip
        return Proof.GOOD if is_right else Proof.BAD

    def converse(self) -> Proof:
        """Never: whoever switched passwords off must not get them by another name."""
        return Proof.BAD

    def check_account(self) -> Standing:
        """By the dates of shadow(5)."""
        entry = shadow.read_entry(self.user, self.path)
        if entry is None:
            return Standing.GOOD
        now = self.clock()
        age = entry.age(now)
        if age is Age.CHANGE:
            return Standing.CHANGE
        if age is not Age.GOOD:
            _log.info("User %s not allowed because %s", self.user, age.value)
            return Standing.DENIED
        left = entry.days_left(now)
        if left is not None:
            self._notes += f"Your password will expire in {left} day{'s' * (left != 1)}.\n"
        return Standing.GOOD

    def take_notes(self) -> str:
        notes, self._notes = self._notes, ""
        return notes

    def open_session(self, account: Account) -> Surroundings:
        """Nothing is added."""
        return Surroundings()

    def close(self) -> None:
        """Nothing is open."""
