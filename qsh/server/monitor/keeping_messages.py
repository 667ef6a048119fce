"""What a worker may say to its monitor about sessions that are kept, and the answers. Data only;
the registries are in monitor_messages."""

from dataclasses import dataclass

from qsh.wire.codec import Rest, message


@message(15)
@dataclass(frozen=True, slots=True)
class AttachSession:
    """A session of the account's, by its number in hexadecimal, or its label, or (empty) the one
    there is. The reply brings a socket to its holder."""

    session: str


@message(16)
@dataclass(frozen=True, slots=True)
class ListSessions:
    """The account's sessions that this login may have."""


@message(17)
@dataclass(frozen=True, slots=True)
class EndSession:
    """Have a session of the account's hang up; named as in AttachSession."""

    session: str


@message(113)
@dataclass(frozen=True, slots=True)
class SessionAttached:
    """To AttachSession, with one descriptor: a socket for attach messages. `forced`: signals will
    not be passed on."""

    session: bytes
    forced: bool


@message(114)
@dataclass(frozen=True, slots=True)
class SessionsListed:
    """To ListSessions: entries (wire.session_messages), each as a string."""

    entries: Rest


@message(115)
@dataclass(frozen=True, slots=True)
class SessionEnded:
    """To EndSession."""

    found: bool


REQUESTS = (AttachSession, ListSessions, EndSession)
REPLIES = (SessionAttached, SessionsListed, SessionEnded)
