"""One UDP flow on one channel: datagrams as QUIC DATAGRAM frames, never sent again.

What does not fit the path, and what is sent before the peer has accepted the channel, goes over
the channel's stream instead, each datagram as a uint16 length and its bytes; a flow that would
rather lose it than have it late tells its peer so, and counts it as dropped. Nothing here reorders,
but that a datagram of the first round trip may come late if the path loses its packet.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from qsh.errors import NetworkError
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.tasks import spawn
from qsh.wire.forward_messages import DropLargeRequest

_log = logger("forward")

MAX_STREAM_QUEUE = 64 * 1024
"""Bytes of large datagrams that may wait for the stream; more are dropped, as by a full queue."""


class Oversize(Enum):
    """What becomes of a datagram that the path cannot carry in one piece."""

    STREAM = auto()
    DROP = auto()


@dataclass(slots=True)
class FlowCounters:
    """Datagrams of one flow, as seen from this side."""

    sent: int = 0
    received: int = 0
    by_stream: int = 0
    dropped: int = 0


class Reassembler:
    """Datagrams out of a stream of uint16 lengths and bytes. Pure."""

    def __init__(self) -> None:
        self._buffer = b""

    def receive(self, data: bytes) -> list[bytes]:
        """The datagrams that are complete after these bytes."""
        buffer, at, found = self._buffer + data, 0, []
        while len(buffer) - at >= 2:
            end = at + 2 + int.from_bytes(buffer[at : at + 2], "big")
            if end > len(buffer):
                break
            found.append(buffer[at + 2 : end])
            at = end
        self._buffer = buffer[at:]
        return found


Deliver = Callable[[list[bytes]], None]
"""Takes datagrams of the peer."""


class Flow:
    """A flow. `last_used` is the loop's time of the last datagram in either direction."""

    def __init__(
        self, channel: Channel, deliver: Deliver, oversize: Oversize
    ) -> None:
        self.counters = FlowCounters()
        self._channel = channel
        self._deliver = deliver
        self._oversize = oversize
        self._is_open = self._is_closed = False
        self._queue: list[bytes] = []
        self._queued = 0
        self._has_work = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.last_used = self._loop.time()
        channel.on_datagrams = self._receive
        self._tasks = [
            spawn(self._read_requests(), "forward: requests of a flow"),
            spawn(self._read_stream(), "forward: large datagrams in"),
            spawn(self._write_stream(), "forward: large datagrams out"),
        ]

    @property
    def is_over(self) -> bool:
        """The peer has ended the flow, or the connection is gone."""
        return self._channel.is_over

    def opened(self) -> None:
        """The channel is accepted: DATAGRAM frames may be sent from now on."""
        self._is_open = True
        if self._oversize is Oversize.DROP:
            self._channel.send_request(DropLargeRequest())

    def send(self, payloads: list[bytes]) -> None:
        """Send datagrams, now or never."""
        self.last_used = self._loop.time()
        largest = self._channel.max_datagram if self._is_open else -1
        fitting = [payload for payload in payloads if len(payload) <= largest]
        if fitting:
            sent = self._channel.send_datagrams(fitting)
            self.counters.sent += sent
            # More than the path carries: as any router would.
            self.counters.dropped += len(fitting) - sent
        if len(fitting) < len(payloads):
            for payload in payloads:
                if len(payload) > largest:
                    self._send_by_stream(payload)

    def _send_by_stream(self, payload: bytes) -> None:
        if self._takes_by_stream(len(payload)):
            self._queue.append(len(payload).to_bytes(2, "big") + payload)
            self._queued += len(payload)
            self._has_work.set()
        else:
            self.counters.dropped += 1

    def _takes_by_stream(self, count: int) -> bool:
        if self._is_open and self._oversize is Oversize.DROP:
            return False
        return self._queued + count <= MAX_STREAM_QUEUE and not self._channel.is_over

    def close(self) -> None:
        """End the flow."""
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        self._channel.close()
        counters = self.counters
        _log.debug1("a flow ends: %d datagrams sent, %d of them by stream, %d dropped; %d received",
                    counters.sent, counters.by_stream, counters.dropped, counters.received
                    )  # fmt: skip

    def _receive(self, payloads: list[bytes]) -> None:
        self.last_used = self._loop.time()
        self.counters.received += len(payloads)
        self._deliver(payloads)

    async def _read_requests(self) -> None:
        with suppress(NetworkError):
            while (request := await self._channel.next_request()) is not None:
                is_known = isinstance(request.body, DropLargeRequest)
                if is_known:
                    self._oversize = Oversize.DROP
                self._channel.answer(request, is_known)

    async def _read_stream(self) -> None:
        reassembler = Reassembler()
        with suppress(NetworkError):
            while data := await self._channel.read():
                if payloads := reassembler.receive(data):
                    self._receive(payloads)

    async def _write_stream(self) -> None:
        with suppress(NetworkError):
            while True:
                await self._has_work.wait()
                self._has_work.clear()
                pieces, self._queue, self._queued = self._queue, [], 0
                await self._channel.write(b"".join(pieces))
                self.counters.by_stream += len(pieces)
                self.counters.sent += len(pieces)
