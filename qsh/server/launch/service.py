"""The launcher as a service of its own: `qshd --launcher`, with `qshd --use-launcher` beside it.

    qshd-sessions.service  qshd --launcher      host keys, monitors, users' processes
    qshd.service           qshd --use-launcher  the port, workers; shut in by systemd

The listener connects to a socket in the run directory; each such connection is served by a fork of
its own, so that one listener's end is not the next one's.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable

from qsh.errors import ConfigError, NetworkError
from qsh.log import logger
from qsh.server import run_directory
from qsh.server.launch.forked import CONTROL_BUFFER, reap, start_process
from qsh.server.launch.launcher import NAME, Launcher

_log = logger("launcher")

FOLDER = "launcher"
"""In the run directory."""
SOCKET = "control"
PATIENCE, TURN = 10.0, 0.05
"""Seconds for a launcher that is just starting, and between two looks for it."""


def connect_to_launcher(base: str | None) -> socket.socket:
    """The listener's way to the service; `base` is the run directory. Raises OSError."""
    sock = run_directory.connect_socket(run_directory.open_folder(FOLDER, base), SOCKET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CONTROL_BUFFER)
    sock.setblocking(False)
    return sock


def wait_for_launcher(base: str | None, patience: float = PATIENCE) -> socket.socket:
    """The same at the listener's start: both services may be starting anew. Raises NetworkError."""
    end = time.monotonic() + patience
    while True:
        try:
            return connect_to_launcher(base)
        except OSError as error:
            if time.monotonic() > end:
                raise NetworkError(
                    f"no launcher there ({error.strerror}): start qshd --launcher, which is "
                    "qshd-sessions.service"
                ) from None
        time.sleep(TURN)


class LauncherService:
    """The loop. `restart` is called on SIGHUP, and returns only if nothing is to change."""

    def __init__(self, launcher: Launcher, base: str | None, restart: Callable[[], None]) -> None:
        self._launcher = launcher
        self._restart = restart
        folder = run_directory.open_folder(FOLDER, base)
        with contextlib.suppress(FileNotFoundError):  # of the one whose place we take
            os.unlink(f"{folder}/{SOCKET}")  # noqa: PTH108
        self._door = run_directory.bind_socket(folder, SOCKET)
        self._wake = socket.socketpair()
        for sock in self._wake:
            sock.setblocking(False)
        signal.set_wakeup_fd(self._wake[1].fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Sessions go on."""
        selector = selectors.DefaultSelector()
        selector.register(self._door, selectors.EVENT_READ)
        selector.register(self._wake[0], selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._door:
                    self._accept()
                elif self._is_told_to_end():
                    signal.set_wakeup_fd(-1)  # what comes now is told to nobody
                    return

    def _is_told_to_end(self) -> bool:
        for number in self._wake[0].recv(4096):
            if number in (signal.SIGTERM, signal.SIGINT):
                _log.info("Received signal %d; terminating.", number)
                return True
            if number == signal.SIGHUP:
                _log.info("Received SIGHUP; restarting.")
                try:
                    self._restart()
                except (ConfigError, NetworkError) as error:
                    _log.error("%s: going on as before", error)
            elif number == signal.SIGCHLD:
                reap(lambda _child, _status: None)
        return False

    def _accept(self) -> None:
        try:
            listener, _ = self._door.accept()
        except OSError:
            return
        with listener:
            if not run_directory.is_own_user(listener):
                return
            listener.setblocking(True)
            try:
                start_process(
                    NAME, lambda _: self._launcher.run(listener), listener.fileno(),
                    self._launcher.host_keys.fileno(),
                ).close()  # fmt: skip
            except OSError as error:
                _log.error("cannot serve the listener: %s", error.strerror)
