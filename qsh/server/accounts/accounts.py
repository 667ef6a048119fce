"""Who may log in here: passwd, groups, shells, and sshd_config's lists of users.

Names and reasons are sshd's, so that filters written for its log find ours. May not look at keys
or passwords.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qsh.auth.patterns import Match, match_host_and_address, match_list, match_pattern
from qsh.config.server_settings import ServerSettings
from qsh.server.accounts.shadow import Age, ShadowEntry

NOLOGIN = "/etc/nologin"
DEFAULT_SHELL = "/bin/sh"
"""What an empty field of passwd(5) means."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this system, with all its groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    group_names: tuple[str, ...]
    home: str
    shell: str


def find_account(name: str) -> Account | None:
    """The account of that name, from the system's databases."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError, OSError):  # ValueError: a NUL inside
        return None
    return _account(entry)


def own_account() -> Account:
    """The account that this process runs as. Raises KeyError if it has no passwd entry."""
    return _account(pwd.getpwuid(os.getuid()))


def _account(entry: pwd.struct_passwd) -> Account:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(
        entry.pw_name, entry.pw_uid, entry.pw_gid, groups, tuple(_group_names(groups)),
        entry.pw_dir, entry.pw_shell or DEFAULT_SHELL,
    )  # fmt: skip


def _group_names(groups: Iterable[int]) -> Iterable[str]:
    for gid in groups:
        try:
            yield grp.getgrgid(gid).gr_name
        except KeyError:
            continue


def account_refusal(account: Account, shadow: ShadowEntry | None, now: float) -> str:
    """Why nobody may log in to this account, as sshd logs it; empty if one may.

    `now` is wall-clock time in seconds.
    """
    name = account.name
    if shadow is not None and shadow.is_locked:
        return f"User {name} not allowed because account is locked"
    if shadow is not None and shadow.age(now) is Age.ACCOUNT_EXPIRED:
        return f"Account {name} has expired"
    return _shell_refusal(account)


def _shell_refusal(account: Account) -> str:
    try:
        mode = Path(account.shell).stat().st_mode
    except OSError:
        return (
            f"User {account.name} not allowed because shell {account.shell} does not exist"
        )
    if not stat.S_ISREG(mode) or not mode & 0o111:
        return (
            f"User {account.name} not allowed because shell {account.shell} is not executable"
        )
    return ""


def list_refusal(
    account: Account, settings: ServerSettings, address: str, hostname: str = ""
) -> str:
    """Why the configuration's lists keep this user out; empty if they do not. In sshd's order:
    DenyUsers, AllowUsers, DenyGroups, AllowGroups. `hostname` is the client's verified name."""
    who = f"User {account.name} from {hostname or address} not allowed because"
    name, client = account.name, (hostname or address, address)
    if any(_user_matches(name, *client, item) for item in settings.deny_users):
        return f"{who} listed in DenyUsers"
    allowed = settings.allow_users
    if allowed and not any(_user_matches(name, *client, item) for item in allowed):
        return f"{who} not listed in AllowUsers"
    if settings.deny_groups and _in_groups(account, settings.deny_groups):
        return f"{who} a group is listed in DenyGroups"
    if settings.allow_groups and not _in_groups(account, settings.allow_groups):
        return f"{who} none of user's groups are listed in AllowGroups"
    return ""


def _user_matches(name: str, hostname: str, address: str, pattern: str) -> bool:
    """A pattern is a user, or USER@HOST where HOST may be a network."""
    user, at, host = pattern.rpartition("@")
    if not at:
        return match_pattern(name, pattern)
    return match_pattern(name, user) and match_host_and_address(hostname, address, host)


def _in_groups(account: Account, patterns: tuple[str, ...]) -> bool:
    together = ",".join(patterns)
    found = [match_list(group, together) for group in account.group_names]
    return Match.YES in found and Match.NEGATED not in found


def nologin_text(account: Account | None, path: str = NOLOGIN) -> str | None:
    """nologin(5): what to tell everybody but root while the file is there; None if it is not."""
    if account is not None and account.uid == 0:
        return None
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(8192)
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def path_refusal(path: str, account: Account, descriptor: int) -> str:
    """StrictModes: why others could change this open file, or put another in its place; empty if
    only the user and root can. OpenSSH's safe_path: the file, then each directory up to home."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a regular file"
    if status.st_uid not in (0, account.uid) or status.st_mode & 0o022:
        return f"bad ownership or modes for file {path}"
    home = os.path.realpath(account.home)
    directory = os.path.dirname(os.path.realpath(path))
    while True:
        status = Path(directory).stat()
        if status.st_uid not in (0, account.uid) or status.st_mode & 0o022:
            return f"bad ownership or modes for directory {directory}"
        if directory in (home, "/", ""):
            return ""
        directory = os.path.dirname(directory)
