"""asyncssh's SFTP protocol, with the requests of OpenSSH's server that it lacks.

expand-path@openssh.com, home-directory, users-groups-by-id@openssh.com (OpenSSH's PROTOCOL,
section 4), and the refusal of chosen requests. Some names here are asyncssh's private ones: the
tests hold them.
"""

import grp
import os
import pwd
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from qsh.lazy import light_asyncssh
from qsh.sftp.arguments import REQUESTS
from qsh.sftp.pipe_io import PipeReader, PipeWriter

light_asyncssh()

from asyncssh import constants as c  # noqa: E402
from asyncssh.packet import SSHPacket, String  # noqa: E402
from asyncssh.sftp import (  # noqa: E402
    SFTPAttrs,
    SFTPName,
    SFTPNoSuchFile,
    SFTPPermissionDenied,
    SFTPServer,
    SFTPServerHandler,
)

VERSION = 3
"""Of the protocol; what OpenSSH's server speaks."""
EXTENSIONS = {
    "posix-rename": b"posix-rename@openssh.com",
    "statvfs": b"statvfs@openssh.com",
    "fstatvfs": b"fstatvfs@openssh.com",
    "hardlink": b"hardlink@openssh.com",
    "fsync": b"fsync@openssh.com",
    "lsetstat": b"lsetstat@openssh.com",
    "limits": b"limits@openssh.com",
    "copy-data": b"copy-data",
    "expand-path": b"expand-path@openssh.com",
    "home-directory": b"home-directory",
    "users-groups-by-id": b"users-groups-by-id@openssh.com",
}
"""sftp-server's name for a request → its name in the protocol."""
_WRITE_FLAGS = c.FXF_WRITE | c.FXF_APPEND | c.FXF_CREAT | c.FXF_TRUNC


@dataclass(frozen=True, slots=True)
class Names:
    """The answer to users-groups-by-id: two lists of names, empty where a number has none."""

    users: tuple[str, ...]
    groups: tuple[str, ...]

    def encode(self, _version: int) -> bytes:
        lists = (b"".join(map(String, names)) for names in (self.users, self.groups))
        return b"".join(map(String, lists))


class FileServer(SFTPServer):
    """The user's files, as the user; relative names begin in the working directory."""

    def __init__(self, *, is_read_only: bool) -> None:
        no_channel: Any = None  # only our own code would ask for it
        super().__init__(no_channel)
        self._is_read_only = is_read_only

    def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Any:
        if self._is_read_only and pflags & _WRITE_FLAGS:
            raise SFTPPermissionDenied("read-only")
        return super().open(path, pflags, attrs)


Request = Callable[[SFTPServerHandler, SSHPacket], Awaitable[object]]


class Handler(SFTPServerHandler):
    """One SFTP session. `denied` are requests under sftp-server's names."""

    def __init__(self, server: FileServer, reader: PipeReader, writer: PipeWriter,
                 denied: frozenset[str]) -> None:
        super().__init__(server, reader, writer, VERSION)  # type: ignore[arg-type]
        refused = {number_of(name) for name in denied}
        self._extensions = [
            (name, version) for name, version in _OFFERED if name not in refused
        ]
        self._packet_handlers = {
            key: _refuse if key in refused else _HANDLERS[key] for key in _KNOWN
        }
        self._return_types = _RETURN_TYPES


def number_of(request: str) -> int | bytes:
    """How a request comes: a packet type, or the name of an extension."""
    if request in EXTENSIONS:
        return EXTENSIONS[request]
    number: int = getattr(c, f"FXP_{request.upper()}")
    return number


async def _refuse(_handler: SFTPServerHandler, _packet: SSHPacket) -> object:
    raise SFTPPermissionDenied("refused by the server's configuration")


async def _expand_path(_handler: SFTPServerHandler, packet: SSHPacket) -> object:
    """`~` and `~user` at the beginning; gives an absolute path, of what need not exist."""
    path = packet.get_string()
    packet.check_end()
    if path.startswith(b"~"):
        user, slash, rest = path[1:].partition(b"/")
        path = os.fsencode(_home(user)) + slash + rest
    return [SFTPName(os.path.realpath(path), attrs=SFTPAttrs())], False


async def _home_directory(_handler: SFTPServerHandler, packet: SSHPacket) -> object:
    user = packet.get_string()
    packet.check_end()
    return [SFTPName(os.fsencode(_home(user)), attrs=SFTPAttrs())], False


def _home(user: bytes) -> str:
    """Of a user; empty for our own."""
    try:
        entry = pwd.getpwnam(os.fsdecode(user)) if user else pwd.getpwuid(os.getuid())
    except KeyError:
        raise SFTPNoSuchFile("no such user") from None
    return entry.pw_dir


async def _users_groups(_handler: SFTPServerHandler, packet: SSHPacket) -> object:
    users, groups = SSHPacket(packet.get_string()), SSHPacket(packet.get_string())
    packet.check_end()
    return Names(
        tuple(_name(pwd.getpwuid, number) for number in _numbers(users)),
        tuple(_name(grp.getgrgid, number) for number in _numbers(groups)),
    )


def _numbers(packet: SSHPacket) -> list[int]:
    numbers = []
    while packet:
        numbers.append(packet.get_uint32())
    return numbers


def _name(look_up: Callable[[int], Any], number: int) -> str:
    try:
        return str(look_up(number)[0])
    except (KeyError, OverflowError):
        return ""


_OURS: dict[bytes, Request] = {
    EXTENSIONS["expand-path"]: _expand_path,
    EXTENSIONS["home-directory"]: _home_directory,
    EXTENSIONS["users-groups-by-id"]: _users_groups,
}
_HANDLERS: dict[Any, Any] = {**SFTPServerHandler._packet_handlers, **_OURS}
_RETURN_TYPES: dict[Any, int] = {
    **SFTPServerHandler._return_types,
    EXTENSIONS["expand-path"]: c.FXP_NAME,
    EXTENSIONS["home-directory"]: c.FXP_NAME,
    EXTENSIONS["users-groups-by-id"]: c.FXP_EXTENDED_REPLY,
}
_KNOWN = {number_of(name) for name in REQUESTS}
_OFFERED = [
    *((name, version) for name, version in SFTPServerHandler._extensions if name in _KNOWN),
    *((name, b"1") for name in _OURS),
]
