"""One session in the worker: its channel at one side, the socket to its holder at the other.

Copies with back-pressure both ways: what the client may send is bounded by what the program has
read, and the program's output by what the client has window for. Each stream waits for itself
only. A client that said good-bye ends its session; one that was lost may come back to it.
"""

import asyncio
import socket
from collections import deque
from typing import Any

from qsh.errors import DecodeError, DisconnectReason, NetworkError
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.inbox import Signal as Bell
from qsh.net.splice import enlarge_socket
from qsh.net.tasks import cancel, spawn
from qsh.server.holder.messages import (
    ERRORS,
    INPUT,
    MAX_PIECE,
    OUTPUT,
    TO_WORKER,
    VERSION,
    WINDOW,
    Acknowledged,
    Attached,
    Consumed,
    Data,
    Decoder,
    Eof,
    Exited,
    Goodbye,
    Killed,
    Reason,
    SentAway,
    Silent,
    Start,
    data_head,
    frame,
)
from qsh.wire.channel import EXTENDED_DATA_STDERR
from qsh.wire.channel_messages import ExitSignal, ExitStatus
from qsh.wire.session_messages import AttachedRequest, ProgressRequest, SentAwayRequest

_log = logger("session")

READS_PER_TURN = 16
"""Calls: up to 2 MiB, before others have their turn."""
ENOUGH = 64 * 1024
"""Bytes that are worth a message of their own: a copy costs more."""
TELL_AFTER = WINDOW // 2
"""Bytes of output that were sent on, after which the holder hears of it: each time wakes it."""
PROGRESS_DELAY = 0.05
"""Seconds by which news of the input's progress may be late."""
PROGRESS_BYTES = 2 << 20
"""Bytes of input after which they go at once: a client keeps 16 MiB at most, and then waits."""
TYPING = 256
TYPING_DELAY = 0.5
"""The same for less than so many bytes: one packet for many keys, which tells nothing of their
rhythm (ObscureKeystrokeTiming)."""
SILENCE = 10.0
"""Seconds of silence after which a session does not wait for its client any more."""
_DATA_TYPES = {OUTPUT: 0, ERRORS: EXTENDED_DATA_STDERR}


class _Output:
    """What came of one of the program's streams and is not yet sent on."""

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.received = 0
        self.sent = 0
        self.has_ended = False
        self.changed = Bell()

    def begin(self, offset: int) -> None:
        """Everything before that offset is not our business."""
        self.received = self.sent = offset

    def take(self) -> bytes:
        """At most MAX_PIECE bytes, in one piece."""
        taken = [self.pieces.popleft()]
        size = len(taken[0])
        while self.pieces and size + len(self.pieces[0]) <= ENOUGH:
            size += len(self.pieces[0])
            taken.append(self.pieces.popleft())
        return taken[0] if len(taken) == 1 else b"".join(taken)


class Session:
    """A session that this worker's client is attached to. `sock` is non-blocking and belongs to
    it; `start` says who attaches and how; `number` is the session's, empty for one that is not
    kept; `input_offset` that of the first byte that the client will send."""

    def __init__(self, channel: Channel, sock: socket.socket, start: Start, number: bytes = b"",
                 input_offset: int = 0) -> None:
        self._channel = channel
        self._socket = sock
        enlarge_socket(sock)
        self._start = start
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder(TO_WORKER)
        self._outputs = {stream: _Output() for stream in _DATA_TYPES}
        self._input_sent = input_offset
        self._input_consumed = self._input_told = input_offset
        self._input_changed = Bell()
        self._telling_progress: asyncio.TimerHandle | None = None
        self._sending = asyncio.Lock()
        self._attached: asyncio.Future[bool] = self._loop.create_future()
        self._end: Exited | Killed | SentAway | None = None
        self.is_detaching = False
        """The client leaves, and the session goes on."""
        self._task = spawn(self._run(), "session")

    async def attached(self) -> bool:
        """Whether the client is attached: known as soon as the holder speaks, or is gone."""
        return await self._attached

    async def tell(self, message: Any) -> None:
        """Pass a message on to the holder; nothing happens once the session is over."""
        try:
            await self._send(frame(message))
        except OSError:
            _log.debug2("%s came after the end of its session", type(message).__name__)

    async def acknowledge(self, progress: ProgressRequest) -> None:
        """The client has so much for good."""
        for stream, data_type in _DATA_TYPES.items():
            if data_type == progress.data_type and progress.offset <= self._outputs[stream].sent:
                await self.tell(Acknowledged(stream, progress.offset))

    async def wait(self) -> None:
        """Until it is over and the channel closed."""
        await asyncio.wait([self._task])

    # ------------------------------------------------------------ inside

    async def _run(self) -> None:
        await self.tell(self._start)
        receiving = spawn(self._receive(), "session: from holder")
        outputs = [spawn(self._pump_out(stream), "session: output") for stream in _DATA_TYPES]
        closed = spawn(self._channel.wait_closed(), "session: channel")
        others = [*outputs, spawn(self._pump_in(), "session: input")]
        if self._number:
            others.append(spawn(self._watch_silence(), "session: silence"))
        try:
            ends: list[asyncio.Task[None]] = [receiving, closed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if isinstance(self._end, Exited | Killed):
                delivered = spawn(_all_of(outputs), "session: last output")
                await asyncio.wait([delivered, closed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not self._attached.done():
                self._attached.set_result(False)
            await cancel(receiving, *others)
            self._finish()
            await self._part()
            await cancel(closed)
            self._socket.close()

    def _finish(self) -> None:
        """Tell the client how it ended."""
        channel = self._channel
        match self._end:
            case Exited(status):
                channel.write_eof()
                channel.send_request(ExitStatus(status))
            case Killed(signal, core_dumped):
                channel.write_eof()
                channel.send_request(ExitSignal(signal, core_dumped))
            case SentAway(reason, origin):
                channel.send_request(SentAwayRequest(reason, origin))
        channel.close()

    async def _part(self) -> None:
        """Tell the holder whether the client may come back: not if it has heard the end, or has
        closed the channel itself."""
        if isinstance(self._end, SentAway):
            if self._end.reason == Reason.RESUMED:  # by a connection that works
                self._channel.connection.close(DisconnectReason.CONNECTION_LOST, "resumed")
            return
        if self._number and not self.is_detaching:
            await self._channel.wait_closed()
            if self._channel.was_left:
                await self.tell(Goodbye())

    async def _receive(self) -> None:
        ended: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._socket, self._readable, ended)
        try:
            await ended
        except (OSError, DecodeError) as error:
            _log.error("the session's holder is lost: %s", error)
        finally:
            self._loop.remove_reader(self._socket)

    def _readable(self, ended: "asyncio.Future[None]") -> None:
        try:
            for _ in range(READS_PER_TURN):
                data = self._socket.recv(self._decoder.wanted)
                for message in self._decoder.receive(data):
                    self._handle(message)
                if (not data or self._end is not None) and not ended.done():
                    ended.set_result(None)
                    return
        except (BlockingIOError, InterruptedError):
            pass
        except (OSError, DecodeError) as error:
            if not ended.done():
                ended.set_exception(error)

    def _handle(self, message: Any) -> None:
        match message:
            case Data(stream, offset, data):
                output = self._output(stream, offset)
                output.received += len(data)
                output.pieces.append(data)
                output.changed.set_off()
            case Eof(stream, offset):
                output = self._output(stream, offset)
                output.has_ended = True
                output.changed.set_off()
            case Consumed(stream, offset) if stream == INPUT and offset >= self._input_consumed:
                self._take_progress(offset)
            case Attached() if message.version == VERSION and not self._attached.done():
                self._begin(message)
            case Exited() | Killed() | SentAway():
                self._end = message
                for output in self._outputs.values():
                    output.has_ended = True
                    output.changed.set_off()
            case Consumed(stream, _) if stream == INPUT:
                pass  # of what came by an earlier connection
            case _:
                raise DecodeError(f"unexpected {type(message).__name__}")

    def _begin(self, attached: Attached) -> None:
        self._outputs[OUTPUT].begin(attached.output_offset)
        self._outputs[ERRORS].begin(attached.errors_offset)
        if self._number:
            self._channel.send_request(AttachedRequest(
                self._number, attached.input_offset, attached.output_offset,
                attached.errors_offset,
            ))  # fmt: skip
        self._attached.set_result(True)

    def _take_progress(self, offset: int) -> None:
        self._input_consumed = offset
        self._input_changed.set_off()
        if self._number and offset - self._input_told >= PROGRESS_BYTES:
            self._tell_progress()
        elif self._number and self._telling_progress is None:
            is_typing = offset - self._input_told < TYPING
            delay = TYPING_DELAY if is_typing else PROGRESS_DELAY
            self._telling_progress = self._loop.call_later(delay, self._tell_progress)

    def _tell_progress(self) -> None:
        if self._telling_progress is not None:
            self._telling_progress.cancel()
            self._telling_progress = None
        self._input_told = self._input_consumed
        self._channel.send_request(ProgressRequest(0, self._input_consumed))

    def _output(self, stream: int, offset: int) -> _Output:
        output = self._outputs.get(stream)
        if output is None or offset != output.received or output.has_ended:
            raise DecodeError("data out of order")
        return output

    async def _pump_out(self, stream: int) -> None:
        output = self._outputs[stream]
        told = output.sent
        try:
            while True:
                while not output.pieces:
                    if output.has_ended:
                        return
                    await output.changed.wait()
                data = output.take()
                output.sent += len(data)  # what is under way may be acknowledged already
                await self._channel.write(data, _DATA_TYPES[stream])
                if output.sent - told >= TELL_AFTER:
                    told = output.sent
                    await self._send(frame(Consumed(stream, told)))
        except (NetworkError, OSError) as error:
            _log.debug2("output ends: %s", error)

    async def _pump_in(self) -> None:
        try:
            while True:
                room = WINDOW - (self._input_sent - self._input_consumed)
                if room < ENOUGH:  # a little room now would be little rooms ever after
                    await self._input_changed.wait()
                    continue
                data = await self._channel.read(limit=min(room, MAX_PIECE))
                if not data:
                    break
                head = data_head(INPUT, self._input_sent, len(data))
                self._input_sent += len(data)
                await self._send(head, data)
            if not self._channel.is_over or not self._number:
                await self._send(frame(Eof(INPUT, self._input_sent)))
        except (NetworkError, OSError) as error:
            _log.debug2("input ends: %s", error)

    async def _watch_silence(self) -> None:
        """Tell the holder while the client is not heard. Looks only when it might not be: an idle
        session's worker sleeps."""
        vigil, is_silent = self._channel.connection.vigil, False
        while True:
            if not is_silent and not vigil.silence:
                await vigil.overdue()
            await asyncio.sleep(SILENCE / 2)
            now_silent = vigil.silence > SILENCE
            if now_silent is not is_silent:
                is_silent = now_silent
                await self.tell(Silent(is_silent))

    async def _send(self, *pieces: bytes) -> None:
        """All pieces, with nothing in between."""
        async with self._sending:
            try:
                sent = self._socket.sendmsg(pieces)
            except BlockingIOError:
                sent = 0
            for piece in pieces:
                if sent < len(piece):
                    await self._loop.sock_sendall(self._socket, memoryview(piece)[sent:])
                sent = max(0, sent - len(piece))


async def _all_of(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)
