"""ExposeAuthInfo: the file that tells a session how its user logged in."""

import contextlib
import os
import tempfile
from dataclasses import dataclass

from qsh.auth.public_key import PublicKey
from qsh.log import logger
from qsh.server import sandbox
from qsh.server.accounts.accounts import Account

_log = logger("login")

PREFIX = "sshauth."
"""As sshd's, in /tmp."""


def proof_line(method: str, key: PublicKey | None) -> str:
    """One method that succeeded, with the key or certificate if there is one."""
    if key is None:
        return f"{method}\n"
    return f"{method} {' '.join(key.authorized_line().split()[:2])}\n"


@dataclass(slots=True)
class AuthInfo:
    """The file of one connection, which is made when a session first wants it."""

    account: Account
    text: str
    _path: str = ""

    def path(self) -> str:
        """The file's path, for SSH_USER_AUTH; empty if it cannot be written."""
        if self._path:
            return self._path
        try:
            with sandbox.as_user(self.account):
                descriptor, path = tempfile.mkstemp(prefix=PREFIX, dir="/tmp")
                with open(descriptor, "w") as file:
                    file.write(self.text)
        except OSError as error:
            _log.error("cannot write how %s logged in: %s", self.account.name, error.strerror)
            return ""
        self._path = path
        return path

    def remove(self) -> None:
        """The last session is over."""
        if self._path:
            with contextlib.suppress(OSError), sandbox.as_user(self.account):
                os.remove(self._path)
            self._path = ""
