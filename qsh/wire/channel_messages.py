"""Messages of a channel's stream: RFC 4254 sections 5 to 7, without channel numbers.

Data only. Bodies of channel opens have a `kind`, bodies of channel requests a `name`; those that
this version does not know arrive as UnknownOpen and UnknownRequest.
"""

from typing import ClassVar

from qsh.record import record
from qsh.wire import forward_messages, session_messages
from qsh.wire.codec import Registry, Rest, UInt32, decode_body, encode_body, message
from qsh.wire.start_messages import (
    EnvRequest,
    ExecRequest,
    PtyRequest,
    ShellRequest,
    SubsystemRequest,
)


@message(90)
@record
class ChannelOpen:
    """RFC 4254 section 5.1: the first message of the stream, from the side that opened it.

    `window` is in bytes, and counts for each data type on its own.
    """

    kind: str
    window: UInt32
    body: Rest


@message(91)
@record
class ChannelOpenConfirmation:
    """RFC 4254 section 5.1."""

    window: UInt32


@message(92)
@record
class ChannelOpenFailure:
    """RFC 4254 section 5.1. `reason` is an errors.OpenFailure."""

    reason: UInt32
    description: str
    language: str = ""


@message(93)
@record
class ChannelWindowAdjust:
    """RFC 4254 section 5.2, for one data type: `count` bytes more may be sent."""

    data_type: UInt32
    count: UInt32


@message(96)
@record
class ChannelEof:
    """RFC 4254 section 5.3: no more data; requests may follow."""


@message(98)
@record
class ChannelRequest:
    """RFC 4254 section 5.4."""

    name: str
    want_reply: bool
    body: Rest


@message(99)
@record
class ChannelSuccess:
    """RFC 4254 section 5.4; answers come in the order of the requests."""


@message(100)
@record
class ChannelFailure:
    """RFC 4254 section 5.4."""


@message(192)
@record
class Ping:
    """OpenSSH's PROTOCOL section 1.10, on a channel's stream: the peer sends the same bytes back.

    To an onlooker it looks like data of that length.
    """

    data: bytes


@message(193)
@record
class Pong:
    """The answer, with the bytes of the Ping."""

    data: bytes


CHANNEL = Registry(
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ChannelWindowAdjust,
    ChannelEof,
    ChannelRequest,
    ChannelSuccess,
    ChannelFailure,
    Ping,
    Pong,
)


@record
class SessionOpen:
    """RFC 4254 section 6.1."""

    kind: ClassVar[str] = "session"


@record
class UnknownOpen:
    """A kind of channel that this version does not know."""

    kind: str
    data: bytes


OPENS: dict[str, type] = {cls.kind: cls for cls in (SessionOpen, *forward_messages.OPENS)}


def decode_open(kind: str, data: bytes) -> object:
    """The body of a ChannelOpen. Raises DecodeError."""
    cls = OPENS.get(kind)
    return decode_body(cls, data) if cls else UnknownOpen(kind, data)


@record
class WindowChange:
    """RFC 4254 section 6.7: the client's terminal has a new size."""

    name: ClassVar[str] = "window-change"
    columns: UInt32
    rows: UInt32
    width_px: UInt32
    height_px: UInt32


@record
class SignalRequest:
    """RFC 4254 section 6.9. `signal` is a name without SIG."""

    name: ClassVar[str] = "signal"
    signal: str


@record
class BreakRequest:
    """RFC 4335 section 3."""

    name: ClassVar[str] = "break"
    milliseconds: UInt32


@record
class ExitStatus:
    """RFC 4254 section 6.10."""

    name: ClassVar[str] = "exit-status"
    status: UInt32


@record
class ExitSignal:
    """RFC 4254 section 6.10. `signal` is a name without SIG."""

    name: ClassVar[str] = "exit-signal"
    signal: str
    core_dumped: bool
    message: str = ""
    language: str = ""


@record
class UnknownRequest:
    """A channel request that this version does not know; the answer is failure."""

    name: str
    data: bytes


REQUESTS: dict[str, type] = {
    cls.name: cls
    for cls in (
        PtyRequest, EnvRequest, ShellRequest, ExecRequest, SubsystemRequest, WindowChange,
        SignalRequest, BreakRequest, ExitStatus, ExitSignal, *forward_messages.REQUESTS,
        *session_messages.REQUESTS,
    )
}  # fmt: skip


def decode_request(name: str, data: bytes) -> object:
    """The body of a ChannelRequest. Raises DecodeError."""
    cls = REQUESTS.get(name)
    return decode_body(cls, data) if cls else UnknownRequest(name, data)


def encode_inner(body: object) -> bytes:
    """The data of an open or a request, also of one that this version does not know."""
    return body.data if isinstance(body, UnknownOpen | UnknownRequest) else encode_body(body)
