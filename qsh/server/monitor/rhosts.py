"""Whose users a host may vouch for: hosts.equiv(5), shosts.equiv, ~/.shosts and ~/.rhosts.

The rules of OpenSSH's auth-rhosts.c. The first line that means the client's host and user decides;
a line that cannot be read, and a bare `+`, mean nobody. Where netgroups cannot be looked up, a line
with one means nobody if it permits, and whoever it may mean if it denies.
"""

import os
import stat

from qsh import paths
from qsh.config.server_settings import ServerSettings
from qsh.record import record
from qsh.server.accounts import netgroups
from qsh.server.accounts.accounts import Account
from qsh.server.monitor.user_files import MAX_FILE, Report, read_as_user

EQUIVALENT = ("/etc/hosts.equiv", f"{paths.SYSTEM_SSH}/shosts.equiv")
"""The administrator's, which do not count for root."""
OWN = (".shosts", ".rhosts")


@record
class Stranger:
    """Who comes: the host by name and by address, and the user's name there."""

    host: str
    address: str
    user: str


def may_enter(stranger: Stranger, account: Account, settings: ServerSettings,
              report: Report) -> bool:
    """Whether somebody whose host vouches for them may have the account."""
    if account.uid != 0:
        for path in EQUIVALENT:
            text = _read_system(path, report)
            if text is not None and is_listed(text, stranger, account.name, report):
                return True
    for name in OWN:
        if settings.ignore_rhosts == "yes" or (
            settings.ignore_rhosts == "shosts-only" and name != ".shosts"
        ):
            continue
        path = os.path.join(account.home, name)
        text = read_as_user(path, account, report, is_strict=settings.strict_modes)
        if text is not None and is_listed(text, stranger, account.name, report):
            return True
    return False


def _read_system(path: str, report: Report) -> bytes | None:
    """An administrator's file, if nobody else could have changed it."""
    try:
        with open(path, "rb", opener=_open_plainly) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o022 or (
                status.st_uid not in (0, os.geteuid())
            ):
                report(f"{path}: bad ownership or modes")
                return None
            return file.read(MAX_FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        report(f"{path}: {error.strerror}")
        return None


def _open_plainly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def is_listed(text: bytes, stranger: Stranger, account: str, report: Report) -> bool:
    """Whether the first line for the stranger lets them in. A line names a host, or by `@` a
    netgroup of hosts, and perhaps a user or a netgroup of users there, who is else of the account's
    own name; `-` denies."""
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        words = line.split()
        if not words or words[0].startswith("#") or words[0] == "NO_PLUS" or len(words) > 2:
            continue
        host, user = (*words, account)[:2]
        is_denied = host.startswith("-") or user.startswith("-")
        host, user = _name_in(host), _name_in(user)
        means = (_means_host(host, stranger), _means_user(user, stranger))
        if None in means:
            report("netgroups cannot be looked up here: no member is let in")
        if False not in means and (is_denied or None not in means):
            return not is_denied
    return False


def _name_in(word: str) -> str:
    return word[1:] if word[:1] in ("+", "-") else word


def _means_host(word: str, stranger: Stranger) -> bool | None:
    """None where it could, but nobody can tell."""
    if not word.startswith("@"):
        return word.lower() in {stranger.host.lower(), stranger.address}
    by_name = netgroups.includes(word[1:], host=stranger.host)
    return by_name or netgroups.includes(word[1:], host=stranger.address)


def _means_user(word: str, stranger: Stranger) -> bool | None:
    if not word.startswith("@"):
        return word == stranger.user
    return netgroups.includes(word[1:], user=stranger.user)
