"""Listening sockets of a forward: each connection that is taken is served by a task of its own."""

import asyncio
import socket
from collections.abc import Callable, Coroutine

from qsh.log import logger
from qsh.net.tasks import spawn

_log = logger("forward")

RETRY = 0.1
"""Seconds before the next try when the system is out of descriptors."""

Serve = Callable[[socket.socket, tuple[str, int]], Coroutine[None, None, None]]
"""Takes a connection and its originator's address (host "" for a Unix socket); owns the socket."""


class Listener:
    """Sockets that listen for one forward, or with `is_single` for one connection. Owns them."""

    def __init__(
        self, sockets: list[socket.socket], serve: Serve, *, is_single: bool = False
    ) -> None:
        self._sockets = sockets
        self._is_single = is_single
        self._serve = serve
        self._served: set[asyncio.Task[None]] = set()
        self._tasks = [spawn(self._accept(sock), "forward: listener") for sock in sockets]

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        name = self._sockets[0].getsockname()
        return name[1] if isinstance(name, tuple) else 0

    def close(self) -> None:
        """Listen no more; connections that were taken go on."""
        for task in self._tasks:
            task.cancel()
        for sock in self._sockets:
            sock.close()

    async def drained(self) -> None:
        """Until all connections that were taken have ended."""
        while self._served:
            await asyncio.wait(set(self._served))

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as error:  # out of descriptors, or the application has gone already
                _log.error("cannot take a connection: %s", error.strerror)
                await asyncio.sleep(RETRY)
                continue
            originator = (address[0], address[1]) if isinstance(address, tuple) else ("", 0)
            served = spawn(self._serve(sock, originator), "forward: connection")
            self._served.add(served)
            served.add_done_callback(self._served.discard)
            if self._is_single:
                self.close()
                return
