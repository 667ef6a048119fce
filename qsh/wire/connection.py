"""One connection without I/O: streams in, events and streams out.

The first bidirectional stream of the client (ID 0) is the control stream: login, global requests.
Every other bidirectional stream is a channel. A *gate* stands before what must wait:

  - the server parses only the control stream until the login stands,
  - the client parses nothing until the host is trusted (`trust`),

and what comes earlier is held, unparsed and bounded. So the client may send its login and its
first channel in one flight, and neither side acts on anything too early.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum

from qsh.errors import LocalProtocolError, RemoteProtocolError
from qsh.wire.channel import EARLY_WINDOW, INITIAL_WINDOW, Channel, Output, StreamWrite
from qsh.wire.codec import encode
from qsh.wire.datagram import by_stream
from qsh.wire.events import (
    ChannelClosed,
    DatagramsArrived,
    Event,
    GlobalAnswered,
    GlobalRequested,
    LoginSucceeded,
)
from qsh.wire.framing import MAX_MESSAGE, FrameReader, frame
from qsh.wire.global_messages import (
    GLOBAL,
    Debug,
    GlobalRequest,
    HostKeysList,
    HostKeysProve,
    Ignore,
    RequestFailure,
    RequestSuccess,
    SessionProve,
    decode_global,
    encode_global,
)
from qsh.wire.states import Opening
from qsh.wire.userauth import ClientLogin, ServerLogin

CONTROL_STREAM = 0
MAX_HELD = 64 * 1024
"""Bytes held before the gate opens, over all streams."""
MAX_HELD_STREAMS = 16
MAX_CONTROL_MESSAGE_BEFORE_LOGIN = 32 * 1024
"""Bytes: a signature by RSA-16384 with its certificate fits."""
MAX_UNANSWERED = 256
"""Global requests with `want_reply` that may wait for an answer."""
EARLY = (HostKeysList.name, HostKeysProve.name, SessionProve.name)
"""Requests that are answered before the login."""
WINDOWS = 64 << 20
"""Bytes that the first windows of all channels come to, with few channels over LEAST_WINDOW."""
WINDOW_SHARE = 8
LEAST_WINDOW = 2 * EARLY_WINDOW
FIRST_RESERVED = 192
"""Message numbers from here on are ignored (RFC 4250 section 4.1.2: local extensions), so that
a later version can add to the control stream, and so that GREASE keeps that true."""


class Role(Enum):
    CLIENT = 0
    SERVER = 1


class Connection:
    """One connection's protocol. `wake` is called whenever there is new output.

    `login` is a ClientLogin or ServerLogin, by role; its verbs send, its answers are events.
    `channels` holds the open ones by stream ID. Every `receive_*` raises RemoteProtocolError when
    the peer breaks the protocol; the connection is then to be closed with the error's `code`.
    """

    def __init__(
        self,
        role: Role,
        wake: Callable[[], None] = lambda: None,
        *,
        window: int = INITIAL_WINDOW,
        grease: int | None = None,
    ) -> None:
        self.role = role
        self.channels: dict[int, Channel] = {}
        self.is_open = False
        """Whether the gate is open."""
        self._wake = wake
        self._window = window
        self._events: deque[Event] = deque()
        self._early_requests: list[GlobalRequested] = []
        self._output: list[Output] = []
        self._control = FrameReader(
            streams_data=False, max_message=MAX_CONTROL_MESSAGE_BEFORE_LOGIN
        )
        self._held: dict[int, bytearray] = {}
        self._held_ends: set[int] = set()
        self._held_bytes = 0
        self._early_left = EARLY_WINDOW
        self._asked = 0
        self._unanswered = 0
        self.client_login = ClientLogin(self._send_control, self._emit)
        self.server_login = ServerLogin(self._send_control, self._emit_login)
        if grease is not None:
            self._send_control(bytes((FIRST_RESERVED + grease % 64,)))

    @property
    def login(self) -> ClientLogin | ServerLogin:
        return self.client_login if self.role is Role.CLIENT else self.server_login

    # ------------------------------------------------------------ out

    def next_event(self) -> Event | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> list[Output]:
        """All that is to be written, in order."""
        output, self._output = self._output, []
        return output

    def trust(self) -> None:
        """At the client: the host has proved who it is; begin to listen to it."""
        if self.role is not Role.CLIENT:
            raise LocalProtocolError("a server's gate opens by the login")
        self._open_gate()

    def open_channel(self, stream_id: int, body: object) -> Channel:
        """Open a channel on a new stream. It may be used at once: what is sent before the login
        is done waits at the server."""
        channel = self._new_channel(stream_id)
        early = EARLY_WINDOW if self.login.is_done else self._early_left
        if not self.login.is_done:
            self._early_left = 0  # all that is early must fit into what a server holds
        channel.propose(body, early)
        return channel

    def request(self, body: object, want_reply: bool = False) -> None:
        """Send a global request. If `want_reply`, GlobalAnswered follows, in order."""
        name: str = body.name  # type: ignore[attr-defined]
        self._asked += want_reply
        message = GlobalRequest(name, want_reply, encode_global(body))
        self._send_control(encode(message))

    @property
    def unanswered(self) -> int:
        """Global requests of the peer that wait for an answer."""
        return self._unanswered

    def answer(self, data: bytes | None) -> None:
        """Answer the peer's oldest unanswered global request; None for failure."""
        if not self._unanswered:
            raise LocalProtocolError("no request waits for an answer")
        self._unanswered -= 1
        self._send_control(encode(RequestFailure() if data is None else RequestSuccess(data)))

    # ------------------------------------------------------------ in

    def receive_stream_data(self, stream_id: int, data: bytes, fin: bool) -> None:
        """Take bytes of a stream."""
        if self.is_open or (self.role is Role.SERVER and stream_id == CONTROL_STREAM):
            self._receive(stream_id, data, fin)
        else:
            self._hold(stream_id, data, fin)

    def receive_abort(self, stream_id: int, code: int) -> None:
        """The peer reset a stream, or stopped it."""
        if stream_id == CONTROL_STREAM:
            raise RemoteProtocolError("the control stream was aborted")
        self._held_bytes -= len(self._held.pop(stream_id, b""))
        channel = self.channels.get(stream_id)
        if channel is not None:
            channel.receive_abort(code)

    def receive_datagrams(self, datagrams: list[bytes]) -> None:
        """Take DATAGRAMs. One that belongs to no open channel is dropped, as any network may:
        it may have overtaken its channel's open, or come after its end."""
        if not self.is_open:
            return
        for stream_id, payloads in by_stream(datagrams).items():
            channel = self.channels.get(stream_id)
            if channel is not None and channel.opening is Opening.OPEN:
                self._emit(DatagramsArrived(channel, payloads))

    def _hold(self, stream_id: int, data: bytes, fin: bool) -> None:
        self._held_bytes += len(data)
        self._held.setdefault(stream_id, bytearray()).extend(data)
        if fin:
            self._held_ends.add(stream_id)
        if self._held_bytes > MAX_HELD or len(self._held) > MAX_HELD_STREAMS:
            raise RemoteProtocolError("too much before the login")

    def _open_gate(self) -> None:
        self.is_open = True
        self._control.max_message = MAX_MESSAGE
        requests, self._early_requests = self._early_requests, []
        for request in requests:
            self._emit(request)
        held, self._held = self._held, {}
        for stream_id in sorted(held):  # the control stream first
            self._receive(stream_id, bytes(held[stream_id]), stream_id in self._held_ends)

    def _receive(self, stream_id: int, data: bytes, fin: bool) -> None:
        if stream_id == CONTROL_STREAM:
            for payload in self._control.receive(data):
                assert isinstance(payload, bytes)
                self._receive_control(payload)
            if fin:
                raise RemoteProtocolError("the control stream was closed")
            return
        if stream_id & 2:
            return  # unidirectional streams are not used; a later version may
        channel = self.channels.get(stream_id)
        if channel is None:
            if not self._is_peers(stream_id):
                return  # a channel that is over
            channel = self._new_channel(stream_id)
        channel.receive(data, fin)

    def _is_peers(self, stream_id: int) -> bool:
        """RFC 9000 section 2.1: the client's streams are even."""
        return (stream_id & 1 == 0) is (self.role is Role.SERVER)

    def _receive_control(self, payload: bytes) -> None:
        number = payload[0]
        if number >= FIRST_RESERVED:
            return
        if number in self.login.NUMBERS:
            self.login.receive(payload)
            return
        message = GLOBAL.decode(payload)
        match message:
            case Ignore() | Debug():
                pass
            case GlobalRequest(name, want_reply, body):
                self._receive_request(name, want_reply, body)
            case RequestSuccess(body):
                self._receive_answer(body)
            case RequestFailure():
                self._receive_answer(None)

    def _receive_request(self, name: str, want_reply: bool, body: bytes) -> None:
        if want_reply:
            self._unanswered += 1
        if self._unanswered > MAX_UNANSWERED:
            raise RemoteProtocolError("too many unanswered requests")
        request = GlobalRequested(decode_global(name, body), want_reply)
        if self.is_open or (name in EARLY and not self._early_requests):
            self._emit(request)
        else:
            self._hold_request(request, len(body))

    def _hold_request(self, request: GlobalRequested, size: int) -> None:
        """Before the login nothing is done but prove host keys; answers keep their order."""
        self._held_bytes += size
        self._early_requests.append(request)
        if self._held_bytes > MAX_HELD or len(self._early_requests) > MAX_UNANSWERED:
            raise RemoteProtocolError("too much before the login")

    def _receive_answer(self, data: bytes | None) -> None:
        if not self._asked:
            raise RemoteProtocolError("an answer without a request")
        self._asked -= 1
        self._emit(GlobalAnswered(data))

    # ------------------------------------------------------------ inside

    def _new_channel(self, stream_id: int) -> Channel:
        channel = Channel(stream_id, self._put, self._emit, self._first_window())
        self.channels[stream_id] = channel
        return channel

    def _first_window(self) -> int:
        """The more channels there are, the smaller is a new one's: their readers may all stop."""
        left = WINDOWS - sum(channel.window for channel in self.channels.values())
        return min(self._window, max(LEAST_WINDOW, left // WINDOW_SHARE))

    def _emit(self, event: Event) -> None:
        if isinstance(event, ChannelClosed):
            self.channels.pop(event.channel.stream_id, None)
        self._events.append(event)

    def _emit_login(self, event: Event) -> None:
        """The server's own login opens its gate; the events behind it keep their order."""
        self._emit(event)
        if isinstance(event, LoginSucceeded):
            self._open_gate()

    def _send_control(self, payload: bytes) -> None:
        self._put(StreamWrite(CONTROL_STREAM, frame(payload)))

    def _put(self, output: Output) -> None:
        self._output.append(output)
        if len(self._output) == 1:
            self._wake()
