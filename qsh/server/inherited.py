"""Sockets and news from and to whoever supervises the daemon: systemd, or an earlier self.

    LISTEN_FDS    sd_listen_fds(3): sockets that are open already, from descriptor 3 on
    NOTIFY_SOCKET sd_notify(3): where to tell that the service is ready
    QSHD_RESTART  of our own: this program took its own place on SIGHUP

All are taken from the environment as soon as they are read: nobody's child is to see them.
"""

import contextlib
import fcntl
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from qsh.errors import NetworkError
from qsh.server.listener.udp_sockets import prepare

FIRST = 3
"""SD_LISTEN_FDS_START."""
FAR = 512
"""Above all descriptors that are to be given their places."""
RESTART = "QSHD_RESTART"


class Supervisor:
    """What the environment said when the program began."""

    def __init__(self) -> None:
        take = os.environ.pop
        self._notify = take("NOTIFY_SOCKET", "")
        self._pid, self._count = take("LISTEN_PID", ""), take("LISTEN_FDS", "")
        take("LISTEN_FDNAMES", "")
        self.is_restart = take(RESTART, "") != ""
        """Whether we had been running, and have left the terminal before."""

    def sockets(self) -> list[socket.socket]:
        """The UDP sockets that were passed; an empty list for none. Raises NetworkError for
        others than UDP ones."""
        if self._pid != str(os.getpid()) or not self._count.isdecimal():
            return []
        found = [socket.socket(fileno=FIRST + i) for i in range(int(self._count[:4]))]
        for sock in found:
            if sock.type != socket.SOCK_DGRAM or sock.family not in (
                socket.AF_INET, socket.AF_INET6,
            ):  # fmt: skip
                raise NetworkError("a socket that was passed is no UDP socket (ListenDatagram=)")
            sock.set_inheritable(False)
            prepare(sock)
        return found

    def tell(self, *lines: str) -> None:
        """sd_notify(3); nothing without a supervisor."""
        if self._notify:
            address = "\0" + self._notify[1:] if self._notify[0] == "@" else self._notify
            with contextlib.suppress(OSError), socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM
            ) as sock:
                sock.sendto("\n".join(lines).encode(), address)

    def tell_ready(self) -> None:
        """Clients can connect."""
        self.tell("READY=1", f"MAINPID={os.getpid()}")

    def restart(self, sockets: Sequence[socket.socket]) -> NoReturn:
        """Take our own place, with the program as it is now installed. Raises OSError."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        environment = {**os.environ, RESTART: "1"}
        if self._notify:
            environment["NOTIFY_SOCKET"] = self._notify
        if sockets:
            environment |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(sockets))}
        copies = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, FAR) for sock in sockets]
        for place, copy in enumerate(copies, FIRST):
            os.dup2(copy, place, inheritable=True)
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, environment)  # noqa: S606
