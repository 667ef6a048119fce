"""qsh --status: asks the running clients of this user, and prints what they tell."""

import contextlib
import json
import os
import socket
import stat
import time
from collections.abc import Iterable, Mapping

from qsh import paths
from qsh.client.session.listing import duration
from qsh.client.status.desk import peer_of
from qsh.client.status.status import Fact, lines_of
from qsh.errors import EXIT_OWN_ERROR
from qsh.log import logger, printable

MOST_CLIENTS = 1000
MOST_BYTES = 64 * 1024
PATIENCE = 1.0
"""Seconds for a client to answer: one that is stopped does not."""

_log = logger("status")


def show_status(host: str | None, *, as_json: bool) -> int:
    """Print it, of clients of `host` only if it is given; gives the exit status."""
    found = [facts for facts in running_clients() if _is_of(facts, host)]
    if as_json:
        print(json.dumps(found, indent=1))
    elif found:
        print("\n".join("\n".join(_text(facts, time.time())) for facts in found))
    else:
        of = f" of {host}" if host is not None else ""
        _log.info("no client%s is running that could be asked", of)
    return 0 if found or host is None else EXIT_OWN_ERROR


def running_clients() -> list[Mapping[str, Fact]]:
    """What each tells. Sockets that nobody listens at are taken away."""
    try:
        folder = os.open(paths.clients_folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        if os.fstat(folder).st_uid != os.geteuid():
            return []
        names = sorted(os.listdir(folder))[:MOST_CLIENTS]
        answers = [_ask(folder, name) for name in names]
    finally:
        os.close(folder)
    return [facts for facts in answers if facts]


def _ask(folder: int, name: str) -> dict[str, Fact]:
    with contextlib.suppress(OSError, ValueError):
        if not stat.S_ISSOCK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return {}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            try:
                sock.connect(f"/proc/self/fd/{folder}/{name}")
            except ConnectionRefusedError:
                os.unlink(name, dir_fd=folder)
                return {}
            if peer_of(sock) != os.geteuid():
                return {}
            return _facts(_received(sock))
    return {}


def _received(sock: socket.socket) -> bytes:
    data = b""
    while len(data) < MOST_BYTES and (piece := sock.recv(MOST_BYTES)):
        data += piece
    return data


def _facts(data: bytes) -> dict[str, Fact]:
    """Raises ValueError for what is no JSON object."""
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return {str(name): value for name, value in found.items()
            if isinstance(value, str | int | float)}  # fmt: skip


def _is_of(facts: Mapping[str, Fact], host: str | None) -> bool:
    names = (facts.get("host"), facts.get("hostname"), facts.get("remote_address"))
    return host is None or host in names


def _text(facts: Mapping[str, Fact], now: float) -> Iterable[str]:
    began = facts.get("began")
    age = duration(now - began) if isinstance(began, int | float) else "?"
    named = f", session {facts['session']}" if facts.get("session") else ""
    yield printable(f"{facts.get('host', '?')} as {facts.get('user', '?')}{named}: "
                    f"process {facts.get('pid', '?')}, {age}")  # fmt: skip
    for line in lines_of(facts):
        yield f"  {line}"
