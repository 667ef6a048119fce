"""One channel (RFC 4254 section 5) on one bidirectional stream, without I/O.

    stream:  ChannelOpen … | ChannelOpenConfirmation … | data, requests … | EOF | … | FIN

The stream is the channel's number. EOF is a message, since requests may follow it; FIN closes the
channel; RESET_STREAM and STOP_SENDING abort it. Windows count bytes per direction and data type.
Both sides are the same but for who opened.
"""

from collections.abc import Callable

from qsh.errors import LocalProtocolError, OpenFailure, RemoteProtocolError
from qsh.record import record
from qsh.wire.channel_messages import (
    CHANNEL,
    ChannelEof,
    ChannelFailure,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ChannelRequest,
    ChannelSuccess,
    ChannelWindowAdjust,
    Ping,
    Pong,
    decode_open,
    decode_request,
    encode_inner,
)
from qsh.wire.codec import encode
from qsh.wire.events import (
    ChannelClosed,
    ChannelConfirmed,
    ChannelEvent,
    ChannelOffered,
    ChannelRefused,
    DataReceived,
    EofReceived,
    PingReceived,
    RequestAnswered,
    RequestReceived,
    WindowGrew,
)
from qsh.wire.framing import MAX_DATA_MESSAGE, DataChunk, FrameReader, data_head, frame
from qsh.wire.states import HALF, OPENING, Answer, Half, Move, Opening, step

EXTENDED_DATA_STDERR = 1
DATA_TYPES = (0, EXTENDED_DATA_STDERR)
"""Ordinary data, and stderr (RFC 4254 section 5.2)."""

INITIAL_WINDOW = 2 * 1024 * 1024
"""Bytes per data type that a peer may send at first; the floor above lets it grow."""
MAX_WINDOW = 32 * 1024 * 1024
"""Bytes: 1 Gbit/s over 200 ms, with some room."""
EARLY_WINDOW = 32 * 1024
"""Bytes of data that may follow a ChannelOpen before its confirmation. Every window is at least
this large, so the opener need not wait to know it."""
MAX_UNANSWERED = 256
"""Requests with `want_reply` that may wait for an answer on one channel."""
MAX_PING = 256
"""Bytes of a ping; what is longer is not answered."""


@record
class StreamWrite:
    """Bytes for a stream; `fin` ends it."""

    stream_id: int
    data: bytes
    fin: bool = False


@record
class StreamAbort:
    """RESET_STREAM and STOP_SENDING with this code."""

    stream_id: int
    code: int


Output = StreamWrite | StreamAbort


class Channel:
    """A channel. Made by Connection; see its `open_channel` and events.ChannelOffered.

    Attributes: `stream_id`; `kind` and `body` of its ChannelOpen; `opening`, `sending` and
    `receiving`, its states; `is_over`, after ChannelClosed or ChannelRefused.
    """

    def __init__(
        self,
        stream_id: int,
        put: Callable[[Output], None],
        emit: Callable[[ChannelEvent], None],
        window: int = INITIAL_WINDOW,
    ) -> None:
        self.stream_id = stream_id
        self.kind = ""
        self.body: object = None
        self.opening = Opening.OFFERED
        self.sending = Half.FLOWING
        self.receiving = Half.FLOWING
        self.is_over = False
        self._put = put
        self._emit = emit
        self._frames = FrameReader(streams_data=True)
        self._window = window
        self._unconsumed_credit = dict.fromkeys(DATA_TYPES, 0)
        self._receive_left = dict.fromkeys(DATA_TYPES, window)
        self._send_left = dict.fromkeys(DATA_TYPES, 0)
        self._early = 0
        self._asked = 0
        self._unanswered = 0

    # ------------------------------------------------------------ what we do

    def propose(self, body: object, early: int) -> None:
        """Open the channel. `early`: bytes of data that may be sent before the confirmation."""
        self.opening = Opening.PROPOSED
        self.kind = body.kind  # type: ignore[attr-defined]
        self.body = body
        self._early = min(early, EARLY_WINDOW)
        self._send_left = dict.fromkeys(DATA_TYPES, self._early)
        self._message(ChannelOpen(self.kind, self._window, encode_inner(body)))

    def accept(self) -> None:
        """Confirm the peer's channel."""
        self.opening = step(OPENING, self.opening, Answer.CONFIRM, by_peer=False)
        self._message(ChannelOpenConfirmation(self._window))

    def refuse(self, reason: OpenFailure, description: str) -> None:
        """Refuse the peer's channel; nothing follows on it."""
        self.opening = step(OPENING, self.opening, Answer.REFUSE, by_peer=False)
        self._message(ChannelOpenFailure(reason, description))
        self.close()

    def send_window(self, data_type: int = 0) -> int:
        """Bytes of this type that may be sent now."""
        return self._send_left[data_type] if self.sending is Half.FLOWING else 0

    def send_data(self, data: bytes, data_type: int = 0) -> int:
        """Send as much of `data` as the window takes; gives the number of bytes taken."""
        self.sending = step(HALF, self.sending, Move.DATA, by_peer=False)
        count = min(len(data), self._send_left[data_type], MAX_DATA_MESSAGE)
        if count:
            self._send_left[data_type] -= count
            self._put(StreamWrite(self.stream_id, data_head(count, data_type)))
            self._put(StreamWrite(self.stream_id, data if count == len(data) else data[:count]))
        return count

    def send_eof(self) -> None:
        """No more data from us; requests may follow."""
        self.sending = step(HALF, self.sending, Move.EOF, by_peer=False)
        self._put(StreamWrite(self.stream_id, frame(encode(ChannelEof()))))

    def send_request(self, body: object, want_reply: bool = False) -> None:
        """Send a channel request. If `want_reply`, RequestAnswered follows, in order."""
        name: str = body.name  # type: ignore[attr-defined]
        self._asked += want_reply
        self._message(ChannelRequest(name, want_reply, encode_inner(body)))

    def ping(self, data: bytes) -> None:
        """Send what looks like `data` and means nothing, and is sent back."""
        self._message(Ping(data))

    def pong(self, data: bytes) -> None:
        """Answer PingReceived."""
        if self.sending is not Half.CLOSED:
            self._message(Pong(data))

    def answer(self, ok: bool) -> None:
        """Answer the peer's oldest unanswered request."""
        if not self._unanswered:
            raise LocalProtocolError("no request waits for an answer")
        self._unanswered -= 1
        if self.sending is not Half.CLOSED:
            self._message(ChannelSuccess() if ok else ChannelFailure())

    def consumed(self, count: int, data_type: int = 0) -> None:
        """The application is done with `count` received bytes: the peer may send as many more.
        Credit is gathered until it is worth a message."""
        self._unconsumed_credit[data_type] += count
        credit = self._unconsumed_credit[data_type]
        if credit >= self._window // 4:
            self._give_credit(data_type)

    def grow_window(self, window: int) -> None:
        """Let the peer have up to `window` bytes under way per data type. It never shrinks."""
        more = min(window, MAX_WINDOW) - self._window
        if more > 0:
            self._window += more
            for data_type in DATA_TYPES:
                self._unconsumed_credit[data_type] += more
            self._give_credit(0)

    @property
    def window(self) -> int:
        """Bytes per data type that the peer may have under way."""
        return self._window

    def close(self) -> None:
        """Close the channel in an orderly way: FIN after all that was sent."""
        if self.sending is not Half.CLOSED:
            self.sending = step(HALF, self.sending, Move.CLOSE, by_peer=False)
            self._put(StreamWrite(self.stream_id, b"", fin=True))
            self._check_over(None)

    def abort(self, code: int) -> None:
        """Close the channel at once: what is under way is lost."""
        if not self.is_over:
            self.sending = self.receiving = Half.CLOSED
            self._put(StreamAbort(self.stream_id, code))
            self._check_over(code)

    # ------------------------------------------------------------ what the peer does

    def receive(self, data: bytes, fin: bool) -> None:
        """Take bytes of the stream. Raises RemoteProtocolError."""
        if self.receiving is Half.CLOSED:
            return
        for item in self._frames.receive(data):
            if isinstance(item, DataChunk):
                self._receive_chunk(item)
            else:
                self._receive_message(item)
        if fin:
            if not self._frames.is_between_messages:
                raise RemoteProtocolError("a channel ended within a message")
            self._receive_close()

    def receive_abort(self, code: int) -> None:
        """The peer reset the stream, or stopped it."""
        self.abort(code)

    def _receive_chunk(self, chunk: DataChunk) -> None:
        self.receiving = step(HALF, self.receiving, Move.DATA, by_peer=True)
        left = self._receive_left.get(chunk.data_type)
        if left is None:
            raise RemoteProtocolError(f"data type {chunk.data_type} is unknown")
        if len(chunk.data) > left:
            raise RemoteProtocolError("more data than the window allows")
        self._receive_left[chunk.data_type] = left - len(chunk.data)
        if self.opening is Opening.REFUSED or self.is_over or not chunk.data:
            return
        self._emit(DataReceived(self, chunk.data_type, chunk.data))

    def _receive_message(self, payload: bytes) -> None:
        self.receiving = step(HALF, self.receiving, Move.MESSAGE, by_peer=True)
        message = CHANNEL.decode(payload)
        if not self.kind and not isinstance(message, ChannelOpen):
            raise RemoteProtocolError("a channel begins with its open")
        match message:
            case ChannelOpen(kind, window, body):
                self._receive_open(kind, window, body)
            case ChannelOpenConfirmation(window):
                self._receive_confirmation(window)
            case ChannelOpenFailure(reason, description):
                self._receive_refusal(reason, description)
            case ChannelWindowAdjust(data_type, count):
                self._receive_adjust(data_type, count)
            case ChannelEof():
                self.receiving = step(HALF, self.receiving, Move.EOF, by_peer=True)
                self._emit(EofReceived(self))
            case ChannelRequest(name, want_reply, body):
                self._receive_request(name, want_reply, body)
            case Ping(data):
                if len(data) <= MAX_PING:
                    self._emit(PingReceived(self, data))
            case ChannelSuccess() | ChannelFailure():
                if not self._asked:
                    raise RemoteProtocolError("an answer without a request")
                self._asked -= 1
                self._emit(RequestAnswered(self, isinstance(message, ChannelSuccess)))

    def _receive_open(self, kind: str, window: int, body: bytes) -> None:
        if self.kind or not kind:
            raise RemoteProtocolError("a second open on a channel")
        if window < EARLY_WINDOW:
            raise RemoteProtocolError("window is smaller than the least one")
        self.kind = kind
        self.body = decode_open(kind, body)
        self._send_left = dict.fromkeys(DATA_TYPES, window)
        self._emit(ChannelOffered(self))

    def _receive_confirmation(self, window: int) -> None:
        if self.opening is not Opening.PROPOSED:
            raise RemoteProtocolError("a confirmation of what was not proposed")
        if window < EARLY_WINDOW:
            raise RemoteProtocolError("window is smaller than the least one")
        self.opening = step(OPENING, self.opening, Answer.CONFIRM, by_peer=True)
        for data_type in DATA_TYPES:
            self._send_left[data_type] += window - self._early
        self._emit(ChannelConfirmed(self))
        for data_type in DATA_TYPES:
            self._emit(WindowGrew(self, data_type))

    def _receive_refusal(self, reason: int, description: str) -> None:
        if self.opening is not Opening.PROPOSED:
            raise RemoteProtocolError("a refusal of what was not proposed")
        self.opening = step(OPENING, self.opening, Answer.REFUSE, by_peer=True)
        self._emit(ChannelRefused(self, reason, description))
        self.close()

    def _receive_adjust(self, data_type: int, count: int) -> None:
        if data_type not in self._send_left:
            raise RemoteProtocolError(f"data type {data_type} is unknown")
        if self._send_left[data_type] + count >= 1 << 32:
            raise RemoteProtocolError("window is too large")  # RFC 4254 section 5.2
        self._send_left[data_type] += count
        if self.sending is Half.FLOWING:
            self._emit(WindowGrew(self, data_type))

    def _receive_request(self, name: str, want_reply: bool, body: bytes) -> None:
        if want_reply:
            self._unanswered += 1
            if self._unanswered > MAX_UNANSWERED:
                raise RemoteProtocolError("too many unanswered requests")
        request = decode_request(name, body)
        if self.opening is not Opening.REFUSED:
            self._emit(RequestReceived(self, request, want_reply))

    def _receive_close(self) -> None:
        if not self.kind:
            raise RemoteProtocolError("a channel begins with its open")
        self.receiving = step(HALF, self.receiving, Move.CLOSE, by_peer=True)
        self.close()  # RFC 4254 section 5.3: a close is answered by a close
        self._check_over(None)

    def _check_over(self, code: int | None) -> None:
        if not self.is_over and self.sending is self.receiving is Half.CLOSED:
            self.is_over = True
            self._emit(ChannelClosed(self, code))

    # ------------------------------------------------------------ the pen

    def _message(self, message: object) -> None:
        self.sending = step(HALF, self.sending, Move.MESSAGE, by_peer=False)
        self._put(StreamWrite(self.stream_id, frame(encode(message))))

    def _give_credit(self, data_type: int) -> None:
        credit = self._unconsumed_credit[data_type]
        if self.receiving is Half.FLOWING and self.sending is not Half.CLOSED:
            self._unconsumed_credit[data_type] = 0
            self._receive_left[data_type] += credit
            self._message(ChannelWindowAdjust(data_type, credit))
