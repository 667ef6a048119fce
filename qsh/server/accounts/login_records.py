"""Who logged in last: lastlog(8)'s file, one record per user ID.

Without the file nothing is read or written, as with sshd. Times are wall-clock seconds.
"""

import contextlib
import os
import struct
import time
from dataclasses import dataclass

LASTLOG = "/var/log/lastlog"
_RECORD = struct.Struct("=i32s256s")
"""struct lastlog of <utmp.h>: time, line, host."""


@dataclass(frozen=True, slots=True)
class LastLogin:
    """One login. `line` is the terminal's name."""

    time: float
    line: str
    host: str


def read_last_login(uid: int, path: str = LASTLOG) -> LastLogin | None:
    """The user's record; None if there is none, or it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(uid * _RECORD.size)
            raw = file.read(_RECORD.size)
    except OSError:
        return None
    if len(raw) < _RECORD.size:
        return None
    seconds, line, host = _RECORD.unpack(raw)
    if not seconds:
        return None
    return LastLogin(seconds, _text(line), _text(host))


def write_last_login(uid: int, login: LastLogin, path: str = LASTLOG) -> None:
    """Replace the user's record, where the file is kept."""
    line = login.line.removeprefix("/dev/").encode()
    record = _RECORD.pack(int(login.time) & 0x7FFFFFFF, line[:32], login.host.encode()[:256])
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, record, uid * _RECORD.size)
        finally:
            os.close(descriptor)


def last_login_line(login: LastLogin) -> str:
    """As sshd greets: `Last login: Tue Mar  4 10:11:12 2025 from 192.0.2.1`."""
    when = time.asctime(time.localtime(login.time))
    return f"Last login: {when} from {login.host}\r\n" if login.host else f"Last login: {when}\r\n"


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
