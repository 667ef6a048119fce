"""What becomes known of a connection's logins: log, audit records, lastb(1), in sshd's words.

Filters such as fail2ban's are written for these lines: where they change, a ban is lost. Whoever
serves the connection has no other place for them, so that what one of them learns all do.
"""

from dataclasses import dataclass

from qsh import log
from qsh.auth.public_key import PublicKey
from qsh.errors import IdentityError
from qsh.log import Level, logger
from qsh.server import sandbox
from qsh.server.accounts import audit, utmp
from qsh.server.accounts.accounts import Account
from qsh.server.accounts.environment import Peers

_log = logger("login")

BY_PASSWORD = ("password", "keyboard-interactive")
"""Whose failures lastb(1) shows."""


@dataclass(slots=True)
class LoginReport:
    """The logins of one connection by one name. `account` is None where nobody may come in by
    it; `now` is wall-clock time throughout."""

    peers: Peers
    user: str
    account: Account | None
    max_tries: int
    hostname: str = ""
    _failures: int = 0
    _has_logged_in: bool = False

    def __post_init__(self) -> None:
        address, port = self.peers.remote
        log.add_fields(
            QSH_USER=self.user, QSH_HOST=self.hostname, QSH_ADDRESS=address, QSH_PORT=str(port)
        )

    @property
    def who(self) -> str:
        """The user's name for the log, marked if nobody may come in by it."""
        return self.user if self.account is not None else f"invalid user {self.user}"

    @property
    def origin(self) -> str:
        host, port = self.peers.remote
        return f"{host} port {port}"

    def postponed(self, method: str, label: str = "") -> None:
        """The client may go on: a key is confirmed, a password to be changed."""
        _log.verbose("Postponed %s for %s from %s qsh/1%s",
                     method, self.who, self.origin, _tail(label))  # fmt: skip

    def proved(self, method: str, label: str, *, is_enough: bool) -> None:
        """One method has succeeded; `is_enough` if that lets the user in."""
        word = "Accepted" if is_enough else "Partial"
        _log.info("%s %s for %s from %s qsh/1%s",
                  word, method, self.user, self.origin, _tail(label))  # fmt: skip
        if is_enough and self.account is not None:
            self._has_logged_in = True
            if sandbox.is_root():
                audit.record_login(
                    self.user, self.account.uid, self.peers.remote[0], is_good=True
                )

    def failed(self, method: str, label: str, now: float) -> None:
        """A proof was no good."""
        self._failures += 1
        loud = self.account is None or 2 * self._failures >= self.max_tries
        level = Level.INFO if loud and method != "none" else Level.VERBOSE
        _log.log(level, "Failed %s for %s from %s qsh/1%s",
                 method, self.who, self.origin, _tail(label))  # fmt: skip
        if method == "none" or not sandbox.is_root():
            return
        address = self.peers.remote[0]
        uid = self.account.uid if self.account is not None else None
        audit.record_login(self.user, uid, address, is_good=False)
        if method.partition("/")[0] in BY_PASSWORD:
            utmp.record_failure(self.user, self.hostname or address, address, now)

    def too_many(self) -> None:
        """MaxAuthTries."""
        _log.error("maximum authentication attempts exceeded for %s from %s qsh/1 [preauth]",
                   self.who, self.origin)  # fmt: skip

    def root_refused(self) -> None:
        """PermitRootLogin."""
        _log.info("ROOT LOGIN REFUSED FROM %s", self.origin)

    def connection_refused(self) -> None:
        """RefuseConnection."""
        _log.info("administratively prohibited connection for %s from %s", self.who, self.origin)

    def denied(self, *, by_pam: bool) -> None:
        """The proofs are good, but the account may not be used now."""
        how = "PAM account configuration" if by_pam else "its expiry"
        _log.error("Access denied for user %s by %s", self.user, how)

    def ended(self) -> None:
        """The last session is over."""
        if self._has_logged_in and self.account is not None and sandbox.is_root():
            audit.record_logout(self.user, self.account.uid, self.peers.remote[0])
        self._has_logged_in = False


def _tail(label: str) -> str:
    return f": {label}" if label else ""


def note_key(key: PublicKey) -> None:
    """Name the key in the fields of all further lines."""
    log.add_fields(QSH_KEY=key.fingerprint())
    certificate = key.certificate
    if certificate is not None:
        log.add_fields(
            QSH_CERTIFICATE_ID=certificate.key_id, QSH_CERTIFICATE_SERIAL=str(certificate.serial),
            QSH_PRINCIPALS=",".join(certificate.principals),
        )  # fmt: skip


def key_label(key: PublicKey, hash_name: str) -> str:
    """How sshd's log names a key: type and fingerprint; a certificate with ID, serial and CA."""
    label = f"{key.key_type_name} {key.fingerprint(hash_name)}"
    certificate = key.certificate
    if certificate is None:
        return label
    try:
        authority = key.authority
        by = f"{authority.key_type_name} {authority.fingerprint(hash_name)}"
    except IdentityError:
        by = "unknown"
    return f"{label} ID {certificate.key_id} (serial {certificate.serial}) CA {by}"
