"""What is written down so that a client may come back to its session without its user's hands.

    tickets/ in the run directory, for root's eyes
        UID-SESSION-KEY    one file per session and client; KEY is a hash of the client's key

A ticket says by which proofs its client once came in, and holds no secret: the client's key is in
the client's memory only. It goes when its session does.
"""

import contextlib
import hashlib
import hmac
import os
from collections.abc import Iterator
from dataclasses import dataclass

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.paths import make_private
from qsh.server.accounts import shadow
from qsh.server.accounts.accounts import Account
from qsh.server.monitor.granted import Given
from qsh.wire.codec import Reader, Rest, UInt32, UInt64, Writer, decode_body, encode_body
from qsh.wire.session_messages import SESSION_LENGTH

_log = logger("login")

FOLDER = "tickets"
ABOUT = ".about"
"""Ends the name of what is written down of a session (kept_sessions.py), which stands for as long
as the session is kept."""
MAX_TICKETS = 8
"""Clients of one session; the oldest ticket gives way."""
MAX_PROOFS = 16
MAX_FILE = 64 * 1024
SALT = 16
LATE_CLOCK = 60.0
"""Seconds that the clock may have been set back since a ticket was written."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One client's way back to one session. `began` is the time of its login, in seconds since
    1970, `password` the `password_mark` of then, if a password counted, `proofs` what
    `encode_proofs` gives."""

    uid: UInt32
    user: str
    session: bytes
    key_blob: bytes
    began: UInt64
    password: bytes
    proofs: Rest

    def is_fresh(self, now: float, lifetime: float | None) -> bool:
        """Whether the login that it goes back to is recent enough; None: any is."""
        age = now - self.began
        return age > -LATE_CLOCK and (lifetime is None or age < lifetime)

    def is_password_as_it_was(self) -> bool:
        """Whether the account has the password that was typed. True if `password` is empty."""
        salt = self.password[:SALT]
        return not self.password or hmac.compare_digest(
            self.password, password_mark(self.user, salt)
        )

    def given(self) -> tuple[Given, ...]:
        """The proofs, in their order. Raises DecodeError."""
        reader, given = Reader(self.proofs), list[Given]()
        while not reader.at_end:
            if len(given) == MAX_PROOFS:
                raise DecodeError("too many proofs")
            given.append(decode_body(Given, reader.string()))
        return tuple(given)


def is_unmarked(password: bytes, given: tuple[Given, ...]) -> bool:
    """Whether a proof may have been a password, and nobody could tell later that it has changed:
    the account is in no shadow(5) that we may read (LDAP behind PAM, or qshd without root)."""
    return not password and any(not one.key_blob for one in given)


def encode_proofs(given: tuple[Given, ...]) -> bytes:
    """For Ticket."""
    writer = Writer()
    for one in given:
        writer.string(encode_body(one))
    return writer.finish()


def password_mark(user: str, salt: bytes = b"") -> bytes:
    """What can be compared with a later password's: a salt, and a digest of what shadow(5) has.
    Empty where it knows no such user."""
    entry = shadow.read_entry(user)
    if entry is None:
        return b""
    salt = salt or os.urandom(SALT)
    password = entry.password.encode(errors="surrogateescape")
    return salt + hmac.digest(salt, password, "sha256")


class Tickets:
    """Those of all sessions that are kept beside `sessions`, the folder of their doors; empty
    where nothing is kept."""

    def __init__(self, sessions: str) -> None:
        self._sessions = sessions
        self._folder = f"{os.path.dirname(sessions)}/{FOLDER}" if sessions else ""

    def write(self, ticket: Ticket) -> None:
        """In the place of an earlier one of the same client. Raises OSError."""
        folder = make_private(self._folder)
        self._make_room(ticket)
        name = _name(ticket.uid, ticket.session, ticket.key_blob)
        draft = f"{folder}/.{name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(draft, flags, 0o600), "wb") as file:
            file.write(encode_body(ticket))
        os.replace(draft, f"{folder}/{name}")

    def find(self, account: Account, session: bytes, key_blob: bytes) -> Ticket | None:
        """The ticket of that account, session and key, if the session is still kept."""
        if not self._folder or len(session) != SESSION_LENGTH:
            return None
        if not os.path.exists(f"{self._sessions}/{account.uid}-{session.hex()}{ABOUT}"):
            return None
        path = f"{self._folder}/{_name(account.uid, session, key_blob)}"
        try:
            with open(path, "rb") as file:
                ticket = decode_body(Ticket, file.read(MAX_FILE))
        except (OSError, DecodeError):
            return None
        is_it = (ticket.uid, ticket.user) == (account.uid, account.name) and (
            (ticket.session, ticket.key_blob) == (session, key_blob)
        )
        return ticket if is_it else None

    def forget(self, uid: int, session: bytes) -> None:
        """The session is over."""
        for path in self._of(uid, session):
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108

    def _make_room(self, ticket: Ticket) -> None:
        own = _name(ticket.uid, ticket.session, ticket.key_blob)
        paths = [path for path in self._of(ticket.uid, ticket.session) if not path.endswith(own)]
        for path in sorted(paths, key=_age)[: max(0, len(paths) - MAX_TICKETS + 1)]:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108

    def _of(self, uid: int, session: bytes) -> Iterator[str]:
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):
                if name.lstrip(".").startswith(f"{uid}-{session.hex()}-"):
                    yield f"{self._folder}/{name}"


def _age(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0  # another monitor has removed it


def _name(uid: int, session: bytes, key_blob: bytes) -> str:
    return f"{uid}-{session.hex()}-{hashlib.sha256(key_blob).hexdigest()[:32]}"
