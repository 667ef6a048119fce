"""The launcher: starts the monitors, and the process that holds the host keys.

It speaks with the listener only. What users run descends from it, so with systemd it is a unit of
its own (packaging/systemd): the listener's can be shut in without shutting in the users' shells.
"""

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import NoReturn

from qsh.auth import revoked
from qsh.config.server import ServerConfig
from qsh.errors import ConfigError, DecodeError
from qsh.log import logger
from qsh.server import sandbox
from qsh.server.launch.connection_start import ConnectionStart
from qsh.server.launch.forked import forget_signals, serve_births, start_process
from qsh.server.launch.host_key_files import HostKeyPlan
from qsh.server.launch.host_keys import HostKeyProcess
from qsh.server.launch.messages import StartMonitor, decode
from qsh.server.listener.connection_ids import ServerKeys
from qsh.server.monitor.start import run_monitor

_log = logger("launcher")

NAME = "qshd-launcher"


@dataclass(slots=True)
class Launcher:
    """In the process. `folder` is where monitors are found by the next listener."""

    config: ServerConfig
    keys: ServerKeys
    folder: str
    host_keys: HostKeyProcess

    def run(self, *controls: socket.socket) -> None:
        """Until the listener has ended."""
        read_ahead(self.config)
        serve_births(controls, self.birth, lambda _child, _status: None)

    def birth(self, data: bytes, sockets: list[socket.socket]) -> int:
        """A monitor for a new connection. Raises OSError, DecodeError."""
        request = decode(data)
        if not isinstance(request, StartMonitor):
            raise DecodeError("no request for a monitor")
        signer = self._signer()
        requests, report, relay = sockets
        start = ConnectionStart(
            number=request.worker, config=self.config, host_keys=self.host_keys.keys,
            signer=signer, keys=self.keys, peers=request.peers, requests=requests, report=report,
            relay=relay, original_destination=request.original_destination, folder=self.folder,
        )  # fmt: skip
        try:
            child = os.fork()
            if child == 0:
                _be_monitor(start)
        finally:
            signer.close()
        return child

    def _signer(self) -> socket.socket:
        """A way to the host keys for one monitor; if their process died, to a new one."""
        try:
            return self.host_keys.connect()
        except OSError:
            _log.error("the host key process is gone; starting a new one")
        try:
            self.host_keys = start_host_keys(self.config)
        except ConfigError as error:
            raise OSError(str(error)) from None
        return self.host_keys.connect()


def read_ahead(config: ServerConfig) -> None:
    """Parse what each monitor would else parse for itself: a list of revoked keys may be long."""
    path = config.settings.revoked_keys
    if path is not None:
        with contextlib.suppress(ConfigError):  # refuses all keys, when one is judged
            revoked.load_cached(path)


def start_host_keys(config: ServerConfig) -> HostKeyProcess:
    """The process that holds the host keys. Raises ConfigError."""
    settings = config.settings
    keys = HostKeyProcess(HostKeyPlan(
        settings.host_keys, settings.host_certificates, settings.host_key_agent,
        settings.host_key_algorithms,
    ))  # fmt: skip
    for text in keys.complaints:
        _log.error("%s", text)
    return keys


def _be_monitor(start: ConnectionStart) -> NoReturn:
    """In a new process."""
    try:
        os.setsid()  # its own group: the launcher's end is not for it
        forget_signals()
        sandbox.name_process("qshd-monitor")
        run_monitor(start)
    finally:
        os._exit(255)


def start_launcher(config: ServerConfig, keys: ServerKeys, folder: str,
                   host_keys: HostKeyProcess | None) -> socket.socket:
    """Fork it; the listener's way to it. Without `host_keys` it starts their process itself.
    Raises OSError."""
    passed = () if host_keys is None else (host_keys.fileno(),)

    def run(control: socket.socket) -> None:
        Launcher(config, keys, folder, host_keys or start_host_keys(config)).run(control)

    sock = start_process(NAME, run, *passed)
    if host_keys is not None:
        host_keys.stop()  # it is the launcher's now
    return sock
