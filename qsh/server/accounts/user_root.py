"""ChrootDirectory: the folder that users' processes have for a root, and the step into it.

Whoever could change the folder could change what is in it, and so what programs there believe
(hard links to set-user-ID programs, /etc/passwd): every part of its path must be root's alone.
"""

import stat
from pathlib import Path

from qsh.config.server import user_path
from qsh.server import sandbox
from qsh.server.accounts.accounts import Account


class RootError(Exception):
    """The folder cannot be a root; the text is for the log."""


def root_for(template: str | None, account: Account) -> str | None:
    """The folder for one account, checked; None without one. Raises RootError."""
    if template is None:
        return None
    try:
        path = user_path(template, user=account.name, home=account.home, uid=account.uid)
    except ValueError as error:
        raise RootError(f"ChrootDirectory: {error}") from None
    if not sandbox.is_root():
        raise RootError("server lacks privileges to chroot to ChrootDirectory")
    check(path)
    return path


def check(path: str) -> None:
    """Whether root alone controls it, as sshd's safely_chroot asks. Raises RootError."""
    if not path.startswith("/"):
        raise RootError(f"chroot path does not begin at root: {path}")
    for part in reversed((Path(path), *Path(path).parents)):
        try:
            status = part.stat()
        except OSError as error:
            raise RootError(f"chroot directory {part}: {error.strerror}") from None
        if status.st_uid != 0 or status.st_mode & 0o022:
            raise RootError(f'bad ownership or modes for chroot directory component "{part}"')
        if not stat.S_ISDIR(status.st_mode):
            raise RootError(f'chroot path component "{part}" is not a directory')


def enter(path: str | None) -> None:
    """Have this folder for a root, for good. Everything that lies outside must be open and
    imported. Raises OSError, RootError."""
    if path is not None:
        check(path)
        sandbox.change_root(path)
