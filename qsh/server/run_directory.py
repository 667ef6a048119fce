"""The run directory: where processes that outlive others are found again.

A listener that was killed knows nobody; what lives on has a socket here, and the next listener
finds it by looking. Only the daemon's own user may look: 0700, owner checked, and each end checks
who the other is.

    /run/qshd (root), or $XDG_RUNTIME_DIR/qshd, or qshd in the state folder
        connections/   one socket per living monitor (server.listener_link)
        sessions/      one socket per living holder
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

from qsh.paths import make_private, state_folder

SYSTEM = "/run/qshd"
LONGEST_PATH = 100
"""Bytes of a socket's path that surely fit into struct sockaddr_un."""
_UCRED = struct.Struct("=iII")
BACKLOG = 8
_CONNECT_PATIENCE = struct.pack("@ll", 1, 0)
"""Seconds and microseconds for a process whose backlog is full: it may have been stopped by its
user, and must not hold up the daemon's."""


def open_folder(name: str, base: str | None = None) -> str:
    """The folder `name` in the run directory, made if it is not there. Raises OSError, also if
    somebody else could change it."""
    return make_private(f"{make_private(base or default_base())}/{name}")


def default_base() -> str:
    """Where the run directory is without an option."""
    if os.geteuid() == 0:
        return SYSTEM
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"{runtime}/qshd" if runtime.startswith("/") else f"{state_folder()}/qshd"


def bind_socket(folder: str, name: str) -> socket.socket:
    """A listening SOCK_SEQPACKET socket by that name, non-blocking. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _short(folder) as short:
            sock.bind(f"{short}/{name}")
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def connect_socket(folder: str, name: str, *, may_wait: bool = True) -> socket.socket:
    """A socket connected to the one of that name; non-blocking if we may not wait. Raises OSError:
    ConnectionRefusedError if its process has gone, PermissionError if it is not our own user's,
    BlockingIOError if it accepts nobody for a second, or now."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _CONNECT_PATIENCE)
        sock.setblocking(may_wait)
        with _short(folder) as short:
            sock.connect(f"{short}/{name}")
        if not is_own_user(sock):
            raise PermissionError(f"{folder}/{name} is another user's")
    except BaseException:
        sock.close()
        raise
    return sock


def is_own_user(sock: socket.socket) -> bool:
    """Whether the process at the other end is of our user."""
    _pid, uid, _gid = _credentials(sock)
    return uid == os.geteuid()


def peer_pid(sock: socket.socket) -> int:
    """Who connected to it, or listened when it was connected."""
    return _credentials(sock)[0]


def _credentials(sock: socket.socket) -> tuple[int, int, int]:
    pid, uid, gid = _UCRED.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    )
    return pid, uid, gid


@contextlib.contextmanager
def _short(folder: str) -> Iterator[str]:
    """The folder by a path that fits into an address, whatever its own length."""
    if len(os.fsencode(folder)) <= LONGEST_PATH - 40:
        yield folder
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
