"""who(1), last(1) and lastb(1): utmp, wtmp and btmp, in utmp(5)'s records.

A file that is not there is not made, as with sshd: its administrator does not want it. Times are
wall-clock seconds. What cannot be written is left: no login depends on it.
"""

import contextlib
import fcntl
import ipaddress
import os
import stat
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

UTMP, WTMP, BTMP = "/run/utmp", "/var/log/wtmp", "/var/log/btmp"
_RECORD = struct.Struct("=h2xi32s4s32s256shhiii16s20x")
"""struct utmp of <utmp.h>, the same on all machines of 64 bits: type, pid, line, id, user, host,
exit status (two), session, seconds, microseconds, address."""
NO_TERMINAL = "ssh:notty"
"""In the place of a terminal's name."""
LOCK_PATIENCE = 1.0
"""Seconds for another writer. Everybody may read the files, and so lock them against writers for
as long as they like: that must not keep others from logging in, nor out of the records."""
_LOCK_PAUSE = 0.02


class RecordType(IntEnum):
    """ut_type, as far as we write it."""

    LOGIN_PROCESS = 6
    USER_PROCESS = 7
    DEAD_PROCESS = 8


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `line` is the terminal without /dev/."""

    type: RecordType
    pid: int
    line: str
    user: str
    host: str
    address: str
    time: float

    def encode(self) -> bytes:
        """The record as the files have it."""
        seconds, fraction = divmod(self.time, 1)
        return _RECORD.pack(
            self.type, self.pid, _field(self.line), _field(self.line[-4:]), _field(self.user),
            _field(self.host), 0, 0, 0, int(seconds) & 0x7FFFFFFF, int(fraction * 1e6),
            _packed(self.address),
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """A record of one of our types; None for others. `data` has RECORD_SIZE bytes."""
        kind, pid, line, _, user, host, _, _, _, seconds, _, _ = _RECORD.unpack(data)
        if kind not in (*RecordType,):
            return None
        return cls(RecordType(kind), pid, _text(line), _text(user), _text(host), "", seconds)


RECORD_SIZE = _RECORD.size


def record_login(record: Record, utmp: str = UTMP, wtmp: str = WTMP) -> None:
    """Somebody has a terminal."""
    _put(utmp, record, lambda old: old.line == record.line)
    _append(wtmp, record)


def record_logout(login: Record, now: float, utmp: str = UTMP, wtmp: str = WTMP) -> None:
    """The end of what `record_login` noted."""
    end = replace(login, type=RecordType.DEAD_PROCESS, user="", host="", address="", time=now)
    _put(utmp, end, lambda old: (old.line, old.pid) == (login.line, login.pid), append=False)
    _append(wtmp, end)


def record_failure(user: str, host: str, address: str, now: float, path: str = BTMP) -> None:
    """A login that failed. The file may hold passwords that were typed as names: one that others
    could read is left alone."""
    record = Record(
        RecordType.LOGIN_PROCESS, os.getpid(), NO_TERMINAL, user, host, address, now
    )
    _append(path, record, private=True)


# ---------------------------------------------------------------- files


@contextlib.contextmanager
def _locked(path: str, flags: int) -> Iterator[int]:
    """The open file, ours alone until the end, if others let go of it. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _lock(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError, PermissionError):  # EAGAIN, EACCES: fcntl(2)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_LOCK_PAUSE)


def _append(path: str, record: Record, *, private: bool = False) -> None:
    with contextlib.suppress(OSError), _locked(path, os.O_WRONLY | os.O_APPEND) as file:
        status = os.fstat(file)
        is_private = status.st_uid == os.geteuid() and not status.st_mode & stat.S_IRWXO
        if is_private or not private:
            os.write(file, record.encode())


def _put(path: str, record: Record, is_same: Callable[[Record], bool], *,
         append: bool = True) -> None:  # fmt: skip
    """Put the record in the place of the one that it follows, or of one that is over."""
    with contextlib.suppress(OSError), _locked(path, os.O_RDWR) as file:
        place = 0
        while len(data := os.pread(file, RECORD_SIZE, place)) == RECORD_SIZE:
            old = Record.decode(data)
            if old is not None and is_same(old):
                break
            place += RECORD_SIZE
        else:
            if not append:
                return
        os.pwrite(file, record.encode(), place)


def _field(text: str) -> bytes:
    """Truncated by struct; a NUL in it would end it."""
    return text.encode("utf-8", "replace").replace(b"\0", b"?")


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _packed(address: str) -> bytes:
    """ut_addr_v6; an IPv4 address stands in the first four bytes."""
    with contextlib.suppress(ValueError):
        parsed = ipaddress.ip_address(address.partition("%")[0])
        return (getattr(parsed, "ipv4_mapped", None) or parsed).packed
    return b""
