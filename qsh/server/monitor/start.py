"""A monitor's beginning: a fork of the launcher becomes one, and meets its worker."""

import os
import socket
import struct
from typing import NoReturn

from qsh.errors import QshError
from qsh.log import logger
from qsh.server import sandbox
from qsh.server.descriptors import receive_with
from qsh.server.launch.connection_start import ConnectionStart
from qsh.server.launch.messages import BIRTH
from qsh.server.monitor.messages import MAX_MESSAGE
from qsh.server.monitor.monitor import Monitor

_log = logger("monitor")

BIRTH_PATIENCE = 10.0
"""Seconds for the worker to be born."""
REPLY_TIMEOUT = struct.pack("@ll", 5, 0)
"""Seconds and microseconds for a worker to take a reply: one that does not must not hold us up."""


def run_monitor(start: ConnectionStart) -> NoReturn:
    """Be the monitor of a new connection. Called in a fork of the launcher."""
    status = 255
    try:
        sandbox.hide_memory()
        passed = (start.requests, start.relay, start.signer, start.report)
        sandbox.close_all_but({0, 1, 2, *(sock.fileno() for sock in passed)})
        worker = _meet_worker(start.requests)
        if worker is not None:
            start.requests.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, REPLY_TIMEOUT)
            Monitor(start, worker).run()
        status = 0
    except BaseException as error:
        _log.error("monitor: internal error: %s: %s", type(error).__name__, error)
    finally:
        os._exit(status)


def _meet_worker(requests: socket.socket) -> int | None:
    """A descriptor of the worker's process, its first message; None if it died before that."""
    requests.settimeout(BIRTH_PATIENCE)
    try:
        data, descriptors = receive_with(requests, MAX_MESSAGE, 1)
        if descriptors and BIRTH.decode(data):
            return descriptors[0]
    except (OSError, QshError):
        pass
    finally:
        requests.setblocking(True)
    return None
