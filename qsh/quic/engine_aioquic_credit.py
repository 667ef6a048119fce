"""What the peer may send: credit that follows what the application has consumed.

aioquic doubles its limits whenever half of them is used, whether the application keeps up or not.
Here a stream's limit is what was consumed of it plus a window, and so is the connection's; until
`raise_all` the connection's limit stands still at what a stranger is trusted with. This is only
bookkeeping: the frames are written by engine_aioquic_connection.py.
"""

from typing import Protocol

CONNECTION_WINDOW = 64 << 20
"""Bytes: 500 ms at 1 Gbit/s."""
STREAM_WINDOW = 16 << 20
"""Bytes: 130 ms at 1 Gbit/s. Before login the connection's credit is the limit."""
PRE_LOGIN_STREAMS = 16
"""Streams of each kind until `raise_all`; a client's optimistic flight needs two."""


class Limit(Protocol):
    """A number that the peer was told (aioquic.quic.connection.Limit)."""

    sent: int
    used: int
    value: int


class Receiver(Protocol):
    """The receiving half of a stream (aioquic.quic.stream.QuicStreamReceiver)."""

    is_finished: bool

    def starting_offset(self) -> int: ...


class Stream(Protocol):
    """aioquic.quic.stream.QuicStream."""

    max_stream_data_local: int

    @property
    def receiver(self) -> Receiver: ...


class Credit:
    """The limits of one connection. `data`: bytes; `streams`: how many, of each kind."""

    def __init__(self, data: Limit, streams: tuple[Limit, Limit], max_streams: int) -> None:
        self._data = data
        self._streams = streams
        self._more_streams = max(0, max_streams - PRE_LOGIN_STREAMS)
        self._raised = False
        self._consumed = 0
        self._waiting: dict[int, int] = {}
        for limit in streams:
            limit.value = limit.sent = min(PRE_LOGIN_STREAMS, max_streams)

    def raise_all(self) -> None:
        """The peer is trusted now: full windows."""
        if self._raised:
            return
        self._raised = True
        self._data.value = max(self._data.value, self._consumed + CONNECTION_WINDOW)
        for limit in self._streams:
            limit.value += self._more_streams

    def deliver(self, stream_id: int, count: int) -> None:
        """`count` bytes go to the application."""
        if count:
            self._waiting[stream_id] = self._waiting.get(stream_id, 0) + count

    def skip(self, count: int) -> None:
        """`count` bytes will never go there: the rest of a stream that was reset or stopped."""
        self._consumed += count
        raised = self._consumed + CONNECTION_WINDOW
        if self._raised and raised - self._data.value >= CONNECTION_WINDOW // 2:
            self._data.value = raised

    def consume(self, stream_id: int, count: int | None, stream: Stream | None) -> None:
        """The application is done with `count` delivered bytes, or with all of them."""
        waiting = self._waiting.pop(stream_id, 0)
        count = waiting if count is None else min(count, waiting)
        if waiting > count:
            self._waiting[stream_id] = waiting - count
        self.skip(count)
        if stream is not None and not stream.receiver.is_finished:
            raised = stream.receiver.starting_offset() - (waiting - count) + STREAM_WINDOW
            if raised - stream.max_stream_data_local >= STREAM_WINDOW // 2:
                stream.max_stream_data_local = raised
