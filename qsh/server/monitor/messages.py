"""What a worker may say to its monitor, and the answers. Data only.

One message per packet of a SOCK_SEQPACKET socket pair, with the numbers below and RFC 4251 types.
Each request has exactly one reply, in order, but for those that say otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from qsh.errors import DecodeError
from qsh.server.monitor import keeping_messages, ticket_messages
from qsh.wire.codec import Byte, NameList, Reader, Registry, Rest, UInt32, Writer, message
from qsh.wire.userauth_messages import InfoRequest, InfoResponse

MAX_MESSAGE = 160 * 1024
"""Bytes: a session with the longest command that execve(2) takes (128 KiB), and its variables."""
MAX_IDS = 64
"""Connection IDs in one reply."""
MAX_PAIRS = 256
UNMARKED = 256
"""In the place of a traffic class: what the system does by itself."""


class Outcome(IntEnum):
    """What became of a login request."""

    REFUSED = 0
    PARTIAL = 1
    KEY_OK = 2
    ACCEPTED = 3
    TOO_MANY = 4
    """The connection must end."""
    DENIED = 5
    """The account's rules let nobody in now: no method can help."""


class SessionKind(IntEnum):
    """What a session runs."""

    SHELL = 0
    EXEC = 1
    SUBSYSTEM = 2


@message(1)
@dataclass(frozen=True, slots=True)
class GiveIds:
    """Connection IDs, please."""

    count: UInt32


@message(2)
@dataclass(frozen=True, slots=True)
class SignAttestation:
    """The host's word for this TLS key, a SubjectPublicKeyInfo in DER. Once."""

    spki: Rest


@message(3)
@dataclass(frozen=True, slots=True)
class CheckLogin:
    """A login request as it came (RFC 4252 section 5), and TLS's exporter."""

    exporter: bytes
    user: str
    service: str
    method: str
    body: Rest = field(repr=False)  # it may hold a password


@message(4)
@dataclass(frozen=True, slots=True)
class ListHostKeys:
    """All host keys, for hostkeys-00@openssh.com."""


@message(5)
@dataclass(frozen=True, slots=True)
class ProveHostKey:
    """A signature for hostkeys-prove-00@openssh.com by this key; empty if it is not ours."""

    exporter: bytes
    key_blob: Rest


@message(14)
@dataclass(frozen=True, slots=True)
class ProveSession:
    """The first host key's signature over the session identifier alone. The reply is a
    HostKeyProof."""

    exporter: bytes


@message(6)
@dataclass(frozen=True, slots=True)
class StartSession:
    """A session. The reply brings a socket to its holder. `kind` is a SessionKind, `modes` as in
    RFC 4254 section 8, `variables` as `encode_pairs` gives; `agent` is the path that the opener
    named for SSH_AUTH_SOCK, or empty; `x11` an X11Grant encoded, or empty; `session` the number
    under which it is to be kept, or empty, and `label` what its user calls it."""

    kind: Byte
    command: bytes
    pty: bool
    term: str
    columns: UInt32
    rows: UInt32
    width_px: UInt32
    height_px: UInt32
    modes: bytes
    variables: bytes
    agent: str = ""
    x11: bytes = b""
    session: bytes = b""
    label: str = ""


@dataclass(frozen=True, slots=True)
class X11Grant:
    """The number of the display that the opener made, and what the client said of it."""

    display: UInt32
    screen: UInt32
    protocol: str
    cookie: str


@message(7)
@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for the log. No reply."""

    level: Byte
    text: str


@message(8)
@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is over, and why. Once; no reply. `by_peer`: the client said so."""

    by_peer: bool
    text: str


@message(9)
@dataclass(frozen=True, slots=True)
class AnswerQuestions:
    """The user's answers to Questions. What follows is the reply to CheckLogin, or more of
    them. A CheckLogin in its place abandons the questions."""

    responses: tuple[str, ...] = field(repr=False)

    def write(self, writer: Writer) -> None:
        InfoResponse(self.responses).write(writer)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(InfoResponse.read(reader).responses)


@message(10)
@dataclass(frozen=True, slots=True)
class StartOpener:
    """A process of the user's that opens sockets for forwards. Once. The reply brings a socket to
    it (server.opener_messages)."""


@message(12)
@dataclass(frozen=True, slots=True)
class MayMove:
    """May the client go on from this address? A numeric one, without port."""

    host: str


@message(13)
@dataclass(frozen=True, slots=True)
class ConnectTo:
    """A socket connected to the client's new address, whose path is validated."""

    host: str
    port: UInt32


@message(101)
@dataclass(frozen=True, slots=True)
class Ids:
    """To GiveIds: 16 bytes of ID and 16 of reset token, each."""

    ids: Rest


@message(102)
@dataclass(frozen=True, slots=True)
class AttestationSigned:
    """To SignAttestation: the extension's value (qsh.quic.identity)."""

    attestation: Rest


@message(103)
@dataclass(frozen=True, slots=True)
class LoginVerdict:
    """To CheckLogin. `methods` may go on; `banner` is to be shown first; `pty` tells, with
    ACCEPTED, whether a terminal will be permitted; the rest are the settings for this user (see
    server.watch): `channel_timeouts` as `TYPE=SECONDS`, times in seconds, 0 for none, and
    `alive_interval` 0 also where the connection as a whole has the same, and IPQoS's two classes
    UNMARKED for none."""

    outcome: Byte
    methods: NameList
    banner: str
    pty: bool
    accept_env: NameList
    max_sessions: UInt32
    channel_timeouts: NameList = ()
    unused_timeout: UInt32 = 0
    alive_interval: UInt32 = 0
    alive_count: UInt32 = 0
    interactive_class: UInt32 = UNMARKED
    other_class: UInt32 = UNMARKED


@message(104)
@dataclass(frozen=True, slots=True)
class HostKeys:
    """To ListHostKeys: public keys as strings, one after the other."""

    keys: Rest


@message(105)
@dataclass(frozen=True, slots=True)
class HostKeyProof:
    """To ProveHostKey and ProveSession."""

    signature: Rest


@message(106)
@dataclass(frozen=True, slots=True)
class SessionStarted:
    """To StartSession, with one descriptor: the socket for attach messages. `forced`: signals
    will not be passed on. `kept`: it may be attached to later."""

    forced: bool
    kept: bool = False


@message(107)
@dataclass(frozen=True, slots=True)
class SessionRefused:
    """To StartSession. `text` is for the log, not for the client."""

    text: str


@message(108)
@dataclass(frozen=True, slots=True)
class Questions:
    """To CheckLogin and AnswerQuestions: what to ask the user first. `banner` as above."""

    banner: str
    request: InfoRequest

    def write(self, writer: Writer) -> None:
        writer.text(self.banner)
        self.request.write(writer)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.text(), InfoRequest.read(reader))


@message(109)
@dataclass(frozen=True, slots=True)
class NewPasswordWanted:
    """To CheckLogin with a password that is right, and too old. `banner` as above."""

    prompt: str
    banner: str


@message(110)
@dataclass(frozen=True, slots=True)
class OpenerStarted:
    """To StartOpener, with one descriptor."""


@message(111)
@dataclass(frozen=True, slots=True)
class OpenerRefused:
    """To StartOpener."""

    text: str


@message(112)
@dataclass(frozen=True, slots=True)
class MoveVerdict:
    """To MayMove; to ConnectTo as well, with one descriptor if there is a socket."""

    allowed: bool


REQUESTS = Registry(
    MayMove, ConnectTo,
    GiveIds, SignAttestation, CheckLogin, ListHostKeys, ProveHostKey, ProveSession,
    StartSession, LogLine, Ended,
    AnswerQuestions, StartOpener, *keeping_messages.REQUESTS, *ticket_messages.REQUESTS,
)  # fmt: skip
REPLIES = Registry(
    MoveVerdict,
    Ids, AttestationSigned, LoginVerdict, HostKeys, HostKeyProof, SessionStarted, SessionRefused,
    Questions, NewPasswordWanted, OpenerStarted, OpenerRefused, *keeping_messages.REPLIES,
    *ticket_messages.REPLIES,
)  # fmt: skip


def encode_pairs(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Names and values as strings, one after the other."""
    writer = Writer()
    for name, value in pairs:
        writer.text(name).text(value)
    return writer.finish()


def decode_pairs(data: bytes) -> list[tuple[str, str]]:
    """The opposite of `encode_pairs`. Raises DecodeError."""
    reader = Reader(data)
    pairs: list[tuple[str, str]] = []
    while not reader.at_end:
        if len(pairs) == MAX_PAIRS:
            raise DecodeError("too many variables")
        pairs.append((reader.text(), reader.text()))
    return pairs
