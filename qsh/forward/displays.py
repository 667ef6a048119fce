"""Listeners where a display would have its own: port 6000 and its number (X(7))."""

import errno
import socket

from qsh.forward.sockets import BACKLOG, bound
from qsh.forward.x11 import FIRST_PORT

MAX_DISPLAYS = 1000
"""As sshd's: displays that are tried."""


async def listen_display(host: str, first: int) -> tuple[list[socket.socket], int]:
    """Listeners on all addresses of `host` (as for `Sockets.listen_tcp`) for the first display
    from number `first` on that is free, and its number. Raises OSError."""
    for number in range(first, MAX_DISPLAYS):
        try:
            sockets = await bound(host, FIRST_PORT + number, socket.SOCK_STREAM, needs_all=True)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        for sock in sockets:
            sock.listen(BACKLOG)
        return sockets, number
    raise OSError(errno.EADDRINUSE, "no display is free")
