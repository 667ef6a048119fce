"""The arguments of `internal-sftp`: those of sftp-server(8), split at blanks as sshd does."""

import getopt
from collections.abc import Sequence
from dataclasses import dataclass

from qsh.errors import UsageError
from qsh.log import Level, level_named

USAGE = (
    "usage: internal-sftp [-ehR] [-d start_directory] [-f log_facility] [-l log_level]\n"
    "       [-P denied_requests] [-p allowed_requests] [-u umask]\n"
    "       internal-sftp -Q requests"
)

WRITING = frozenset((
    "write", "setstat", "fsetstat", "remove", "mkdir", "rmdir", "rename", "symlink",
    "posix-rename", "hardlink", "fsync", "lsetstat", "copy-data",
))  # fmt: skip
"""Requests that -R refuses; it refuses `open` for writing too."""
REQUESTS = WRITING | frozenset((
    "open", "close", "read", "lstat", "fstat", "opendir", "readdir", "realpath", "stat",
    "readlink", "statvfs", "fstatvfs", "limits", "expand-path", "home-directory",
    "users-groups-by-id",
))  # fmt: skip
"""All, under sftp-server's names."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What an SFTP server is told."""

    start_folder: str = ""
    """With the tokens %d (home), %u (user) and %%; empty for the home directory."""
    to_stderr: bool = False
    facility: str = "AUTH"
    level: Level = Level.ERROR
    denied: frozenset[str] = frozenset()
    is_read_only: bool = False
    umask: int | None = None
    lists_requests: bool = False


def parse(words: Sequence[str]) -> Arguments:
    """Read the words after `internal-sftp`. Raises UsageError."""
    try:
        options, rest = getopt.getopt(list(words), "d:ef:hl:P:p:Q:Ru:c")
    except getopt.GetoptError as error:
        raise UsageError(f"{error}\n{USAGE}") from None
    found = dict(options)
    if rest or "-h" in found:
        raise UsageError(USAGE)
    if found.get("-Q", "requests") != "requests":
        raise UsageError("invalid query type")
    read_only = "-R" in found
    return Arguments(
        found.get("-d", ""), "-e" in found, found.get("-f", "AUTH"), _level(found.get("-l")),
        _denied(found.get("-P"), found.get("-p"), read_only), read_only,
        _umask(found.get("-u")), "-Q" in found,
    )  # fmt: skip


def _level(name: str | None) -> Level:
    level = Level.ERROR if name is None else level_named(name)
    if level is None:
        raise UsageError(f'invalid log level "{name}"')
    return level


def _denied(denied: str | None, allowed: str | None, read_only: bool) -> frozenset[str]:
    named = _requests(denied or "")
    if allowed is not None:
        named |= REQUESTS - _requests(allowed)
    return named | WRITING if read_only else named


def _requests(names: str) -> frozenset[str]:
    found = frozenset(filter(None, names.split(",")))
    if unknown := found - REQUESTS:
        raise UsageError(f"unknown request {', '.join(sorted(unknown))}")
    return found


def _umask(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        mask = int(text, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise UsageError(f'invalid umask "{text}"')
    return mask
