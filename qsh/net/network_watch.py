"""Tells when this machine's network changes: by rtnetlink on Linux; elsewhere nobody tells, and
who wants to know looks for himself now and then."""

import asyncio
import socket
from collections.abc import Callable

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.net.netlink import GROUPS, decode_messages

_log = logger("network")

SETTLING = 0.02
"""Seconds from a first change to another call: changes come in swarms, an address before its
route, and the first one may be all that is needed."""
READ_SIZE = 65536


class NetworkWatch:
    """Calls `changed` when addresses, routes or interfaces have changed: at once, and once
    more when what came with the change has settled."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._settling: asyncio.TimerHandle | None = None

    def start(self) -> bool:
        """Whether changes will be told: not where there is no rtnetlink, or none for us."""
        kind = getattr(socket, "AF_NETLINK", None)
        if kind is None:
            return False
        try:
            self._socket = socket.socket(kind, socket.SOCK_RAW, 0)
            self._socket.setblocking(False)
            self._socket.bind((0, GROUPS))
        except OSError as error:
            _log.debug1("no news of the network from the kernel: %s", error.strerror)
            self.stop()
            return False
        self._loop.add_reader(self._socket.fileno(), self._readable)
        return True

    def stop(self) -> None:
        """No more calls."""
        if self._settling is not None:
            self._settling.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        assert self._socket is not None
        is_change = False
        while True:
            try:
                data = self._socket.recv(READ_SIZE)
                is_change |= any(message.is_change for message in decode_messages(data))
            except BlockingIOError:
                break
            except (OSError, DecodeError):  # ENOBUFS: more has changed than was told
                is_change = True
                break
        if is_change and self._settling is None:
            self._settling = self._loop.call_later(SETTLING, self._tell)
            self._changed()

    def _tell(self) -> None:
        self._settling = None
        self._changed()
