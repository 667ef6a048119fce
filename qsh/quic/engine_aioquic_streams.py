"""The sending halves of aioquic's streams: what they still take, and whose turn it is."""

from collections.abc import Collection

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic.quic.stream import QuicStream  # noqa: E402


def takes_bytes(stream: QuicStream) -> bool:
    """Whether we may still send: the stream was neither finished nor reset, by us or the peer."""
    sender = stream.sender
    return not (
        sender.is_finished or sender._buffer_fin is not None or sender._reset_error_code is not None
    )


def unsent_bytes(stream: QuicStream) -> int:
    """Bytes queued that were in no packet yet."""
    if stream.sender._reset_error_code is not None:
        return 0
    return stream.sender._buffer_stop - stream.sender.highest_offset


class SendOrder:
    """Larger priorities first; 0 is normal. aioquic lets all streams take turns."""

    def __init__(self) -> None:
        self._priorities: dict[int, int] = {}

    def set(self, stream_id: int, priority: int) -> None:
        self._priorities.pop(stream_id, None)
        if priority:
            self._priorities[stream_id] = priority

    def apply(self, queue: list[QuicStream]) -> None:
        """Sort aioquic's queue in place. The sort is stable, so equals go on taking turns."""
        if self._priorities:
            queue.sort(key=lambda stream: -self._priorities.get(stream.stream_id or 0, 0))

    def forget_all_but(self, live: Collection[int]) -> None:
        """Streams that are over need no place."""
        for stream_id in [s for s in self._priorities if s not in live]:
            del self._priorities[stream_id]
