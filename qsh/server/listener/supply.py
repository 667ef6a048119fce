"""The listener's way to the processes that fork for it; a new one if one has died."""

import socket
from collections.abc import Callable, Sequence

from qsh.log import logger

_log = logger("listener")

Start = Callable[[], socket.socket]
"""Starts the process, or connects to it: the socket to it. Raises OSError."""


class Supply:
    """Of workers or of monitors. `name` is for the log; `sock` leads to a process that has
    started already."""

    def __init__(self, name: str, start: Start, sock: socket.socket | None = None) -> None:
        self._name = name
        self._start = start
        self._sock = sock or start()

    def ask(self, message: bytes, sockets: Sequence[socket.socket]) -> None:
        """Pass a request and its sockets. Raises OSError: if nothing can be started, or too much
        is waiting already (BlockingIOError)."""
        try:
            self._send(message, sockets)
        except BlockingIOError:
            raise
        except OSError:
            _log.error("%s is gone; starting a new one", self._name)
            self._sock.close()
            self._sock = self._start()
            self._send(message, sockets)

    def _send(self, message: bytes, sockets: Sequence[socket.socket]) -> None:
        socket.send_fds(self._sock, [message], [sock.fileno() for sock in sockets])
