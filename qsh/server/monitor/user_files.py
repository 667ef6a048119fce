"""Reading files of a user's, with the user's rights and under StrictModes."""

import os
import stat
from collections.abc import Callable

from qsh.server.accounts import accounts
from qsh.server.accounts.accounts import Account
from qsh.server.sandbox import as_user

MAX_FILE = 16 * 1024 * 1024
Report = Callable[[str], None]
"""Takes lines for the log."""


def read_as_user(path: str, account: Account, report: Report, *, is_strict: bool) -> bytes | None:
    """The content of one of the user's files, or None; `is_strict` is StrictModes."""
    # A FIFO would hold up the login for ever, a terminal would become the monitor's own.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with as_user(account):
        try:
            descriptor = os.open(path, flags)
        except OSError:
            return None
        try:
            refusal = _refusal(path, account, descriptor, is_strict=is_strict)
            if refusal:
                report(f"Authentication refused: {refusal}")
                return None
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_FILE)
        except OSError as error:
            report(f"{path}: {error.strerror}")
            return None
        finally:
            os.close(descriptor)


def _refusal(path: str, account: Account, descriptor: int, *, is_strict: bool) -> str:
    """Why the open file must not be read; empty if it may."""
    if is_strict:
        return accounts.path_refusal(path, account, descriptor)
    is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    return "" if is_regular else f"{path} is not a regular file"
