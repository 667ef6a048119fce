"""What the connection reports to the floor above, in the order it happened."""

from typing import TYPE_CHECKING

from qsh.record import hidden, record
from qsh.wire.userauth_messages import Prompt, RequestBody

if TYPE_CHECKING:
    from qsh.wire.channel import Channel


@record
class LoginSucceeded:
    """The server let us in."""


@record
class LoginFailed:
    """This request was refused; `methods` may continue. `partial`: it was right, but more is
    needed."""

    methods: tuple[str, ...]
    partial: bool


@record
class KeyAccepted:
    """A signature by this key would be accepted."""

    algorithm: str
    key_blob: bytes


@record
class PasswordChangeAsked:
    """The password has expired: send it with a new one."""

    prompt: str


@record
class InfoAsked:
    """Questions for the user; answer all of them, also none."""

    name: str
    instruction: str
    prompts: tuple[Prompt, ...]


@record
class BannerReceived:
    """Text to show before the login. It comes from the server: not to be trusted on a terminal."""

    text: str


@record
class ExtensionsReceived:
    """RFC 8308: for instance `server-sig-algs`."""

    extensions: dict[str, bytes]


@record
class LoginRequested:
    """At the server: decide, and answer by one of ServerLogin's verbs.

    `body` is None for a method that this version does not know. `raw` is the method's own data
    as received.
    """

    user: str
    service: str
    method: str
    body: RequestBody | None = hidden()
    raw: bytes = hidden()


@record
class InfoAnswered:
    """At the server: the user's responses to `ask`."""

    responses: tuple[str, ...] = hidden()


@record
class ChannelOffered:
    """The peer wants a channel: `channel.accept()` or `channel.refuse(…)`. `channel.kind` and
    `channel.body` say which."""

    channel: "Channel"


@record
class ChannelConfirmed:
    """The peer accepted our channel."""

    channel: "Channel"


@record
class ChannelRefused:
    """The peer refused our channel; it is gone. `reason` is an errors.OpenFailure."""

    channel: "Channel"
    reason: int
    description: str


@record
class DataReceived:
    """Data; the window is given back by `channel.consumed`."""

    channel: "Channel"
    data_type: int
    data: bytes


@record
class EofReceived:
    """The peer sends no more data; requests may follow."""

    channel: "Channel"


@record
class WindowGrew:
    """`channel.send_window(data_type)` is larger than before."""

    channel: "Channel"
    data_type: int


@record
class RequestReceived:
    """A channel request; if `want_reply`, answer by `channel.answer`, in order."""

    channel: "Channel"
    body: object
    want_reply: bool


@record
class RequestAnswered:
    """The answer to our oldest unanswered channel request."""

    channel: "Channel"
    ok: bool


@record
class PingReceived:
    """Answer by `channel.pong`, or not at all if too much waits to be sent already."""

    channel: "Channel"
    data: bytes


@record
class ChannelClosed:
    """The channel is over in both directions. `code` is None after an orderly end, else the
    reset's code."""

    channel: "Channel"
    code: int | None = None


@record
class DatagramsArrived:
    """Datagrams of the channel's flow. They may come in any order, twice or never."""

    channel: "Channel"
    payloads: list[bytes]


@record
class GlobalRequested:
    """A global request; if `want_reply`, answer by `connection.answer`, in order."""

    body: object
    want_reply: bool


@record
class GlobalAnswered:
    """The answer to our oldest unanswered global request; None for failure."""

    data: bytes | None


LoginEvent = (
    LoginSucceeded
    | LoginFailed
    | KeyAccepted
    | PasswordChangeAsked
    | InfoAsked
    | BannerReceived
    | ExtensionsReceived
    | LoginRequested
    | InfoAnswered
)
ChannelEvent = (
    ChannelOffered
    | ChannelConfirmed
    | ChannelRefused
    | DataReceived
    | EofReceived
    | WindowGrew
    | RequestReceived
    | RequestAnswered
    | PingReceived
    | ChannelClosed
    | DatagramsArrived
)
Event = LoginEvent | ChannelEvent | GlobalRequested | GlobalAnswered
