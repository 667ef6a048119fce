"""One client's hold on a session, at the holder's side of the socket to its worker.

Sends the session's output from the place where this client is, as far as its window lets it; takes
what the client says apart into messages. Decides nothing.
"""

import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qsh.errors import DecodeError
from qsh.net.splice import enlarge_socket
from qsh.server.holder.messages import (
    ANY_OFFSET,
    ERRORS,
    MAX_PIECE,
    OUTPUT,
    TO_HOLDER,
    WINDOW,
    Acknowledged,
    Consumed,
    Decoder,
    Eof,
    Exited,
    Killed,
    Mode,
    Start,
    data_head,
    frame,
)
from qsh.wire.replay import Replay

READS_PER_TURN = 16
"""Calls: up to 2 MiB, before others have their turn."""
FAREWELL_PATIENCE = 5.0
"""Seconds for the worker to take the last words."""


class LostError(Exception):
    """The worker is gone."""


class Attachment:
    """`sock` is non-blocking, and belongs to it. `start` is what the worker began with."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        enlarge_socket(sock)
        self.start: Start | None = None
        self.is_silent = False
        self.is_leaving = False
        """It was sent away, and its worker does not know yet."""
        self.has_said_goodbye = False
        self.was_told_exit = False
        self._decoder = Decoder(TO_HOLDER)
        self._waiting: deque[bytes] = deque()
        self._sent = {OUTPUT: 0, ERRORS: 0}
        self._consumed = {OUTPUT: 0, ERRORS: 0}
        self._acknowledged = {OUTPUT: 0, ERRORS: 0}
        self._ended: set[int] = set()

    @property
    def is_holding(self) -> bool:
        """Whether the session waits for this client."""
        if self.start is None or self.is_leaving or self.has_said_goodbye:
            return False
        return self.start.mode != Mode.WATCH

    @property
    def wants_to_send(self) -> bool:
        return bool(self._waiting)

    def begin(self, start: Start, replays: Mapping[int, Replay], history: int
              ) -> tuple[int, int]:  # fmt: skip
        """Find the place from which this client goes on; its offsets of output and errors. Who
        asks for no offset gets `history` bytes."""
        self.start = start
        for stream, asked in ((OUTPUT, start.output_offset), (ERRORS, start.errors_offset)):
            replay = replays[stream]
            if asked != ANY_OFFSET and asked > replay.end:
                raise DecodeError("offset of what was not sent")
            at = max(replay.end - history if asked == ANY_OFFSET else asked, replay.start)
            self._sent[stream] = self._consumed[stream] = self._acknowledged[stream] = at
        return self._sent[OUTPUT], self._sent[ERRORS]

    # ------------------------------------------------------------ how far it is

    def allowed(self, stream: int) -> int:
        """The offset up to which it takes output."""
        return self._consumed[stream] + WINDOW

    def needed(self, stream: int) -> int:
        """The offset from which output may be asked for again."""
        return self._acknowledged[stream]

    def sent(self, stream: int) -> int:
        """The offset up to which output was sent."""
        return self._sent[stream]

    def progress(self, message: Consumed | Acknowledged) -> None:
        """The worker, or its client, has got further. Raises DecodeError."""
        stream, offset = message.stream, message.offset
        if stream not in self._sent or offset > self._sent[stream]:
            raise DecodeError("offset of what was not sent")
        assert self.start is not None
        if isinstance(message, Consumed):
            self._consumed[stream] = max(self._consumed[stream], offset)
        if isinstance(message, Acknowledged) or not self.start.acknowledges:
            self._acknowledged[stream] = max(self._acknowledged[stream], offset)

    # ------------------------------------------------------------ the socket

    def receive(self, pass_on: Callable[[int, int, int], int]) -> Iterator[Any]:
        """What has come. `pass_on` gets stream, offset and count of data that is in the socket, may
        take some of it from there, and tells how much. Raises LostError, DecodeError."""
        decoder = self._decoder
        for _ in range(READS_PER_TURN):
            stream, offset, left = decoder.data_to_come
            if left and (passed := pass_on(stream, offset, left)):
                decoder.skip(passed)
                continue
            try:
                data = self.socket.recv(decoder.wanted)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                raise LostError
            yield from decoder.receive(data)

    def tell(self, message: Any) -> None:
        """Send a message, when there is room."""
        self._waiting.append(frame(message))

    def tell_output(self, replays: Mapping[int, Replay], is_open: set[int],
                    ending: Exited | Killed | None) -> None:
        """What this client may have now: output, the ends of streams, and at last how the
        program ended. Raises LostError."""
        while self.start is not None and self.flush():
            told = [self._tell_stream(stream, replays, is_open) for stream in self._sent]
            if not any(told):
                break
        is_all = not is_open and self._ended.issuperset(self._sent)
        if ending is not None and is_all and not self.was_told_exit:
            self.tell(ending)
            self.was_told_exit = True
        self.flush()

    def _tell_stream(self, stream: int, replays: Mapping[int, Replay], is_open: set[int]) -> bool:
        replay, sent = replays[stream], self._sent[stream]
        limit = min(self.allowed(stream) - sent, MAX_PIECE)
        piece = replay.piece(sent, limit) if limit > 0 else b""
        if piece:
            self._waiting += (data_head(stream, sent, len(piece)), piece)
            self._sent[stream] += len(piece)
            return True
        if stream not in is_open and sent == replay.end and stream not in self._ended:
            self._ended.add(stream)
            self.tell(Eof(stream, sent))
        return False

    def flush(self) -> bool:
        """Send what the socket takes; whether it took all. Raises LostError."""
        waiting = self._waiting
        try:
            while waiting:
                count = self.socket.sendmsg(list(waiting)[:64])
                while count:
                    piece = waiting.popleft()
                    if count < len(piece):
                        waiting.appendleft(piece[count:])
                        break
                    count -= len(piece)
        except BlockingIOError:
            return False
        except OSError:
            raise LostError from None
        return True

    def finish(self) -> None:
        """Wait until the worker has taken all, and close."""
        self.socket.settimeout(FAREWELL_PATIENCE)
        try:
            self.socket.sendall(b"".join(self._waiting))
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(MAX_PIECE):  # what lies unread would reset the socket
                pass
        except OSError:
            pass
        self.socket.close()
