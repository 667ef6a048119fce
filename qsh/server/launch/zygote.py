"""The zygote: has everything loaded that a worker needs, holds no key, and forks workers.

A fork of the listener from before it had any secret; an account without rights, which may read no
host key, even if it is told to open one. What must not be shared between connections
(TLS key, engine, random state) a worker makes after its birth.
"""

import os
import socket
from collections.abc import Callable
from typing import NoReturn

from qsh.config.server import ServerConfig
from qsh.errors import DecodeError
from qsh.log import logger
from qsh.server import sandbox
from qsh.server.launch.connection_start import WorkerStart
from qsh.server.launch.forked import forget_signals, serve_births, start_process
from qsh.server.launch.messages import StartWorker, decode
from qsh.server.worker.worker import run_worker

_log = logger("zygote")

NAME = "qshd-zygote"


class Zygote:
    """In the process. `empty_folder` is for workers' chroot; None without root."""

    def __init__(self, config: ServerConfig, empty_folder: str | None) -> None:
        self._config = config
        self._empty_folder = empty_folder
        self._origins: dict[int, str] = {}

    def run(self, control: socket.socket) -> None:
        """Until the listener has ended."""
        sandbox.leave_root(self._empty_folder)
        serve_births([control], self._birth, self._death)

    def _birth(self, data: bytes, sockets: list[socket.socket]) -> int:
        request = decode(data)
        if not isinstance(request, StartWorker):
            raise DecodeError("no request for a worker")
        start = self._start(request, sockets)
        child = os.fork()
        if child == 0:
            be_worker(start)
        self._origins[child] = "{} port {}".format(*start.peers.remote)
        return child

    def _start(self, request: StartWorker, sockets: list[socket.socket]) -> WorkerStart:
        sock, relay, requests = sockets
        return WorkerStart(
            settings=self._config.settings, peers=request.peers, sock=sock, relay=relay,
            requests=requests, datagrams=request.early(),
            original_destination=request.original_destination,
            retry_source=request.retry_source or None, delay_secret=request.delay_secret,
            empty_folder=self._empty_folder,
        )  # fmt: skip

    def _death(self, child: int, status: int) -> None:
        origin = self._origins.pop(child, "nobody")
        if os.WIFSIGNALED(status):
            _log.error("worker for %s was killed by signal %d", origin, os.WTERMSIG(status))
        elif status:
            code = os.waitstatus_to_exitcode(status)
            _log.error("worker for %s ended with status %d", origin, code)


def be_worker(start: WorkerStart) -> NoReturn:
    """In a new process."""
    try:
        forget_signals()
        run_worker(start)
    finally:
        os._exit(255)


def start_zygote(
    config: ServerConfig, empty_folder: str | None, forget: Callable[[], None] = lambda: None
) -> socket.socket:
    """Fork it; the listener's way to it. `forget` wipes what it must not have. Raises OSError."""

    def run(control: socket.socket) -> None:
        forget()
        Zygote(config, empty_folder).run(control)

    return start_process(NAME, run)
