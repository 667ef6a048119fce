"""The few names that asyncssh's SFTP handlers ask of a reader and a writer, on two pipes.

Nothing here ever waits in an event loop: an SFTP server does one request after the other, and
blocking is what gives the client its back-pressure. Replies are gathered while more requests lie
ready, and written before the next wait.
"""

import os
from asyncio import IncompleteReadError
from typing import Any

from qsh.log import Level, Logger

READ_SIZE = 256 * 1024
MAX_GATHERED = 256 * 1024
"""Bytes of replies that are held back at most."""
CLIENT_VERSION = "SSH-2.0-OpenSSH"
"""What asyncssh goes by in the order of a symlink request's arguments: every client that talks to
OpenSSH's server has OpenSSH's order."""


class RequestLog:
    """What asyncssh tells about requests, as lines of our log; file names come as bytes."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def get_child(self, _name: str) -> "RequestLog":
        return self

    def info(self, text: str, *values: object, **_: object) -> None:
        self._log(Level.INFO, text, values)

    def debug1(self, text: str, *values: object, **_: object) -> None:
        """Requests are for those who want a record of them, as with OpenSSH's server."""
        self._log(Level.INFO if text.startswith("Received ") else Level.DEBUG1, text, values)

    def debug2(self, text: str, *values: object, **_: object) -> None:
        self._log(Level.DEBUG2, text, values)

    def packet(self, *_: object) -> None:
        """Contents of files are in there."""

    def _log(self, level: Level, text: str, values: tuple[object, ...]) -> None:
        self._logger.log(level, text, *map(_shown, values))


def _shown(value: object) -> object:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


class PipeWriter:
    """Takes replies for a descriptor. `channel` is itself: there is no other."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._gathered: list[bytes] = []
        self._size = 0

    @property
    def channel(self) -> "PipeWriter":
        return self

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        """Raises OSError if nobody reads any more."""
        self._gathered.append(data)
        self._size += len(data)
        if self._size >= MAX_GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write all that is gathered. Raises OSError."""
        data = memoryview(b"".join(self._gathered))
        self._gathered, self._size = [], 0
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Nothing follows; the descriptor ends with the process."""


class PipeReader:
    """Requests out of a descriptor; `writer` is flushed before each wait."""

    def __init__(self, descriptor: int, writer: PipeWriter, logger: RequestLog) -> None:
        self.logger = logger
        self._descriptor = descriptor
        self._writer = writer
        self._buffer = bytearray()
        self._at = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return CLIENT_VERSION if name == "client_version" else default

    async def readexactly(self, count: int) -> bytes:
        """Raises IncompleteReadError at the end of input, OSError."""
        while len(self._buffer) - self._at < count:
            del self._buffer[: self._at]
            self._at = 0
            self._writer.flush()
            data = os.read(self._descriptor, max(READ_SIZE, count - len(self._buffer)))
            if not data:
                raise IncompleteReadError(bytes(self._buffer), count)
            self._buffer += data
        taken = bytes(memoryview(self._buffer)[self._at : self._at + count])
        self._at += count
        return taken
