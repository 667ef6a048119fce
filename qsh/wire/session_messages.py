"""Bodies for sessions that outlive their connection: PROTOCOL.md section 7.

Data only. `name` names a channel request or a global request; the registries are in
channel_messages and global_messages.
"""

from typing import ClassVar

from qsh.record import record
from qsh.wire.codec import Byte, UInt32, UInt64

SESSION_LENGTH = 16
"""Bytes of a session's and of a client's number, both made up by the client at random."""


@record
class KeepRequest:
    """Before shell, exec or subsystem: keep the session when this connection is lost. `session`
    numbers it, `client` this client; `label` is what its user calls it, or empty."""

    name: ClassVar[str] = "keep@qsh"
    session: bytes
    client: bytes
    label: str


@record
class AttachRequest:
    """In the place of shell, exec or subsystem: go on with a session, named by its number in
    hexadecimal or by its label. `mode` is a server.attach.Mode; the offsets are those of the
    first byte that the client will send, and of the first that it has not yet (all ones: any)."""

    name: ClassVar[str] = "attach@qsh"
    session: str
    client: bytes
    mode: Byte
    input_offset: UInt64
    output_offset: UInt64
    errors_offset: UInt64


@record
class AttachedRequest:
    """From the server, before any data: what has come of this client's input, and the offsets of
    the first bytes that follow."""

    name: ClassVar[str] = "attached@qsh"
    session: bytes
    input_offset: UInt64
    output_offset: UInt64
    errors_offset: UInt64


@record
class ProgressRequest:
    """Everything before `offset` has arrived for good: from the client of an output, as data types
    are numbered; from the server of the input (type 0)."""

    name: ClassVar[str] = "progress@qsh"
    data_type: UInt32
    offset: UInt64


@record
class DetachRequest:
    """The client leaves, and the session goes on."""

    name: ClassVar[str] = "detach@qsh"


@record
class SentAwayRequest:
    """From the server: the client is attached no more. `reason` is a server.attach.Reason,
    `origin` who took over."""

    name: ClassVar[str] = "sent-away@qsh"
    reason: Byte
    origin: str


@record
class SessionsRequest:
    """What sessions does this account have? The answer is a SessionList."""

    name: ClassVar[str] = "sessions@qsh"


@record
class EndSessionRequest:
    """End this session: number in hexadecimal, or label."""

    name: ClassVar[str] = "end-session@qsh"
    session: str


@record
class TicketKeyRequest:
    """Let this key, made for it, be what the client comes back to this session by: a login by
    `session-ticket@qsh`. `session` is its number."""

    name: ClassVar[str] = "ticket-key@qsh"
    session: bytes
    key_blob: bytes


@record
class SessionEntry:
    """One session of a SessionList. Times are seconds since 1970; `alone_since` is 0 while
    somebody is attached; `origins` are the attached clients, comma-separated."""

    session: bytes
    label: str
    command: str
    terminal: str
    began: UInt64
    alone_since: UInt64
    origins: str
    has_ended: bool


REQUESTS = (
    KeepRequest,
    AttachRequest,
    AttachedRequest,
    ProgressRequest,
    DetachRequest,
    SentAwayRequest,
)
GLOBALS = (SessionsRequest, EndSessionRequest, TicketKeyRequest)
