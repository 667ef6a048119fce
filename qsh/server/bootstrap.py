"""`qshd --bootstrap`: a server for one user and one visit, started over ssh without root.

    ssh ── this process ── guard (own session) ── qshd ── what the connection needs

Standard input brings the key that may log in, standard output takes port and host key
(qsh.wire.bootstrap). Then this process and ssh end. The guard waits for qshd, which ends when the
visit is over or nobody came, and removes the folder; SIGTERM to the guard ends all, sessions first.
If the answer could not be delivered, the guard ends it at once.
"""

import contextlib
import os
import pwd
import random
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable

from qsh.errors import ConfigError, DecodeError, NetworkError
from qsh.process_tree import descendants, end_tree
from qsh.server.options import Options
from qsh.wire.bootstrap import (
    MOST,
    TAKEN,
    BootstrapAnswer,
    BootstrapRequest,
    decode_request,
    encode_answer,
)

PREFIX = "qshd-bootstrap-"
REQUEST_SECONDS = 30.0
READY_SECONDS = 20.0
DELIVERY_SECONDS = 30.0
ENDING_SECONDS = 5.0
"""For sessions to hang up."""
LONGEST_COMM = 15
Run = Callable[[Options], int]
"""The program qshd, with these options; its exit status."""


def bootstrap(run: Run) -> int:
    """Serve one request. Raises NetworkError, ConfigError, DecodeError."""
    request = decode_request(_read_request(0))
    user = _account_name()
    port = choose_port(*request.ports)
    folder = tempfile.mkdtemp(prefix=PREFIX)
    ready, ready_child = os.pipe()
    delivered, delivered_us = os.pipe()
    guard = os.fork()
    if guard == 0:
        os.close(ready)
        os.close(delivered_us)
        _Guard(folder, run, ready_child, delivered).live(request, port, user)
    os.close(ready_child)
    os.close(delivered)
    host_key = _wait_until_ready(ready, folder)
    _deliver(encode_answer(BootstrapAnswer(port, guard, user, host_key)))
    if _read_line(0) == TAKEN:
        os.write(delivered_us, b".")
    return 0


def choose_port(first: int, last: int) -> int:
    """A UDP port of the range that nobody uses; 0 and 0 for any. Raises NetworkError."""
    ports = list(range(first, last + 1))
    random.shuffle(ports)  # two who start at once shall not meet
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind(("", port))
            except OSError:
                continue
            return int(sock.getsockname()[1])
    raise NetworkError(f"no UDP port from {first} to {last} is free")


def _account_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ConfigError(f"no account has user ID {os.geteuid()}") from None


def _read_request(descriptor: int) -> bytes:
    """Up to the empty line. Raises DecodeError if that does not come."""
    text = b""
    while not text.endswith(b"\n\n"):
        is_there = select.select([descriptor], [], [], REQUEST_SECONDS)[0]
        data = os.read(descriptor, MOST) if is_there else b""
        text += data
        if not data or len(text) > MOST:
            raise DecodeError("nobody asks for a server: qsh --bootstrap starts this by itself")
    return text.strip(b"\n")


def _read_line(descriptor: int) -> bytes:
    """What comes next; empty if the client has gone."""
    is_there = select.select([descriptor], [], [], DELIVERY_SECONDS)[0]
    return os.read(descriptor, len(TAKEN)) if is_there else b""


def _wait_until_ready(ready: int, folder: str) -> str:
    """The host's public line, once qshd listens. Raises NetworkError with what it said."""
    if select.select([ready], [], [], READY_SECONDS)[0] and os.read(ready, 64):
        with open(f"{folder}/host_key.pub") as file:
            return file.read().strip()
    words = []
    with contextlib.suppress(OSError), open(f"{folder}/qshd.log", errors="replace") as file:
        words = file.read().strip().splitlines()
    raise NetworkError(f"no server could be started: {words[-1] if words else 'it said nothing'}")


def _deliver(data: bytes) -> None:
    """Raises NetworkError if nobody takes it."""
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        raise NetworkError("nobody waits for the server any more") from None


class _Guard:
    """In the guard. `ready` goes to qshd; something comes by `delivered` once the client knows."""

    def __init__(self, folder: str, run: Run, ready: int, delivered: int) -> None:
        self._folder = folder
        self._run = run
        self._ready = ready
        self._delivered = delivered
        self._server = 0

    def live(self, request: BootstrapRequest, port: int, user: str) -> None:
        """Its whole life. Never returns."""
        try:
            os.setsid()
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_IGN)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, lambda *_: None)
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGCHLD))
            os.chdir("/")
            _close_standard_files(f"{self._folder}/qshd.log")
            write_files(self._folder, request.key, port, user)
            self._server = self._start()
            os.close(self._ready)
            if self._is_delivered():
                self._wait()
        finally:
            self._end()

    def _start(self) -> int:
        child = os.fork()
        if child:
            return child
        status = 255
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.close(self._delivered)
            os.environ["XDG_STATE_HOME"] = self._folder  # what servers keep from run to run
            status = self._run(Options(
                foreground=True, config_file=f"{self._folder}/qshd_config", ready_fd=self._ready,
                run_folder=f"{self._folder}/run", only_one_visit=True,
            ))  # fmt: skip
        except BaseException as error:
            print(error, file=sys.stderr)
        finally:
            os._exit(status)

    def _is_delivered(self) -> bool:
        is_there = select.select([self._delivered], [], [], READY_SECONDS + DELIVERY_SECONDS)[0]
        return bool(is_there and os.read(self._delivered, 1))

    def _wait(self) -> None:
        """Until qshd has ended, or all is to end."""
        if signal.sigwait((signal.SIGTERM, signal.SIGCHLD)) == signal.SIGTERM:
            for process in descendants(self._server):
                if _name_of(process) == "qshd-monitor":  # hangs up its sessions, and ends
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(process, signal.SIGTERM)
            signal.sigtimedwait((signal.SIGCHLD,), ENDING_SECONDS)

    def _end(self) -> None:
        with contextlib.suppress(BaseException):
            if self._server:
                end_tree(self._server)
        with contextlib.suppress(BaseException):
            shutil.rmtree(self._folder)
        os._exit(0)


def _name_of(process: int) -> str:
    try:
        with open(f"/proc/{process}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def _close_standard_files(log: str) -> None:
    """So that ssh has nothing to wait for."""
    null = os.open(os.devnull, os.O_RDWR)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in ((0, null), (1, null), (2, said)):
        os.dup2(source, target)
    os.close(null)
    os.close(said)


def write_files(folder: str, key: str, port: int, user: str) -> None:
    """The host's key, made here, and qshd's configuration for this one user."""
    from qsh.auth.generate import new_ed25519

    host_key, host_line = new_ed25519()
    config = {
        "Port": port, "HostKey": f"{folder}/host_key", "AllowUsers": user,
        "AuthorizedKeysFile": f"{folder}/authorized_keys", "PermitRootLogin": "yes",
        "AuthenticationMethods": "publickey", "UsePAM": "no",  # ssh has let the user in already
        "StrictModes": "no",  # the folder is in /tmp, which all may write to
        "AcceptEnv": "LANG LC_* COLORTERM", "PrintMotd": "no", "LogLevel": "INFO",
        "X11Forwarding": "yes", "LoginGraceTime": "30", "SessionTimeout": "1d",
    }  # fmt: skip
    contents = {
        "host_key": host_key, "host_key.pub": f"{host_line}\n".encode(),
        "authorized_keys": f"{key}\n".encode(),
        "qshd_config": "".join(f"{name} {value}\n" for name, value in config.items()).encode(),
    }  # fmt: skip
    for name, content in contents.items():
        descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, content)
        os.close(descriptor)
