"""A process that forks others on request: what the zygote and the launcher have in common.

    listener ══ control (SOCK_SEQPACKET) ══ zygote or launcher ── fork ── worker or monitor

One loop over the control socket and SIGCHLD. It ends when the listener has; its children go on.
"""

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from typing import NoReturn

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.server import sandbox
from qsh.server.descriptors import receive_with
from qsh.server.launch.messages import MAX_MESSAGE

_log = logger("fork")

PASSED = 3
"""Descriptors with each request."""
CONTROL_BUFFER = 1024 * 1024
"""Bytes of requests that may wait; beyond that newcomers are turned away."""
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM)

Birth = Callable[[bytes, list[socket.socket]], int]
"""Forks for a request with its sockets; the child's process ID. Raises OSError, DecodeError."""
Death = Callable[[int, int], None]
"""A child with this process ID has ended with this status of wait(2)."""


def start_process(name: str, run: Callable[[socket.socket], None], *keep: int) -> socket.socket:
    """Fork a process that does `run` with its control socket; the listener's end of that. It
    keeps `keep` and the standard files. Raises OSError."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in (ours, its):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CONTROL_BUFFER)
    ours.setblocking(False)
    try:
        child = os.fork()
        if child == 0:
            _become(name, run, its, keep)
    except OSError:
        ours.close()
        raise
    finally:
        its.close()
    return ours


def _become(name: str, run: Callable[[socket.socket], None], control: socket.socket,
            keep: Sequence[int]) -> NoReturn:
    status = 255
    try:
        os.setsid()  # a ^C at qshd's own terminal is not for its connections
        sandbox.name_process(name)
        sandbox.hide_memory()
        sandbox.close_all_but({0, 1, 2, control.fileno(), *keep})
        forget_signals()
        run(control)
        status = 0
    except BaseException as error:
        _log.error("%s: internal error: %s: %s", name, type(error).__name__, error)
    finally:
        os._exit(status)


def forget_signals() -> None:
    """In a new process: none of the parent's ways with signals."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def serve_births(controls: Sequence[socket.socket], birth: Birth, death: Death,
                 idle: Callable[[], None] = lambda: None) -> None:
    """Fork for what comes by the sockets until all of them have ended. `idle` is called when
    nothing is waiting."""
    selector = selectors.DefaultSelector()
    wake, wake_writer = socket.socketpair()
    for sock in (wake, wake_writer):
        sock.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer.fileno(), warn_on_full_buffer=False)
    selector.register(wake, selectors.EVENT_READ)
    for control in controls:
        selector.register(control, selectors.EVENT_READ)
    left = len(controls)
    reap(death)
    while left:
        ready = selector.select(0)
        if not ready:
            idle()
        for key, _ in ready or selector.select():
            ready_sock = key.fileobj
            assert isinstance(ready_sock, socket.socket)
            if ready_sock is wake:
                wake.recv(4096)
                reap(death)
            elif not take_request(ready_sock, birth):
                selector.unregister(ready_sock)
                ready_sock.close()
                left -= 1


def take_request(control: socket.socket, birth: Birth) -> bool:
    """Fork for one request; False if there will be no more."""
    try:
        data, descriptors = receive_with(control, MAX_MESSAGE, PASSED)
    except BlockingIOError:
        return True
    except OSError:
        return False
    if not data:
        return False
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    try:
        if len(sockets) != PASSED:
            raise DecodeError("a request without its sockets")
        birth(data, sockets)
    except (OSError, DecodeError) as error:
        _log.error("cannot start a process: %s", error)
    finally:
        for sock in sockets:
            sock.close()
    return True


def reap(death: Death) -> None:
    """Bury the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            death(child, status)
