"""Where a running client answers `qsh --status`: a socket in a folder that only its user may enter.

Whoever connects is looked at all the same (SO_PEERCRED), gets one JSON object, and nothing is read
from him. Commands that are over within a second never open it.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable

from qsh import log, paths
from qsh.client.session_options import SessionWish
from qsh.client.status.status import Facts, facts_of
from qsh.config.client_settings import ClientSettings
from qsh.net.connection import Connection

BACKLOG = 4
_CREDENTIALS = struct.Struct("@iII")

_log = log.logger("status")


def facts_of_visit(settings: ClientSettings, connection: Connection, resumptions: int,
                   began: float, session: str) -> Facts:
    """Of a visit that began then (seconds since 1970); `session` is its session's name."""
    visit: Facts = {
        "host": settings.original_host, "hostname": settings.hostname, "port": settings.port,
        "user": settings.user, "session": session, "pid": os.getpid(), "began": round(began, 3),
    }  # fmt: skip
    return visit | facts_of(connection, resumptions)


async def keep_desk(settings: ClientSettings, wish: SessionWish | None,
                    state: "Callable[[], tuple[Connection | None, int]]") -> None:
    """Answer for a visit until cancelled; `state` gives its connection, and how many came before
    that one."""
    began = time.time()

    def facts() -> Facts:
        connection, resumptions = state()
        if connection is None:
            return {}
        label = wish.label if wish is not None else ""
        return facts_of_visit(settings, connection, resumptions, began, label)

    desk = StatusDesk(facts)
    desk.open()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        desk.close()


class StatusDesk:
    """Open until `close`; `facts` gives what is told."""

    def __init__(self, facts: Callable[[], Facts]) -> None:
        self._facts = facts
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._path = ""

    def open(self) -> None:
        """Answer from now on. Where there can be no socket, nobody is told, and nothing is lost."""
        try:
            folder = paths.make_private(paths.clients_folder())
            self._path = f"{folder}/{os.getpid()}-{os.urandom(4).hex()}"
            self._socket = listen(self._path)
        except OSError as error:
            _log.debug1("no --status of this client: %s", error)
            return
        self._loop.add_reader(self._socket.fileno(), self._answer)

    def close(self) -> None:
        """Answer no more."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None

    def _answer(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(OSError):
            sock, _ = self._socket.accept()
            with sock:
                if peer_of(sock) in (0, os.geteuid()):
                    sock.setblocking(False)
                    sock.send(json.dumps(self._facts()).encode())


def peer_of(sock: socket.socket) -> int:
    """The user at the other end."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def listen(path: str) -> socket.socket:
    """A socket at a path of any length, for this user only. Raises OSError."""
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        sock.bind(f"/proc/self/fd/{descriptor}/{name}")
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
        os.close(descriptor)
    return sock
