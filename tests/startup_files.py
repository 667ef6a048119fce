"""The tester's own start-up files of shells, out of the tests' sight. For root only.

A login as root is served with root's own home, and what .bashrc does there is no part of the
tests: it may take half a second, or wait for a lock that a killed shell has left behind.
"""

import ctypes
import os
from pathlib import Path

NAMES = (".bashrc", ".bash_profile", ".bash_login", ".profile", ".bash_logout",
         ".zshenv", ".zshrc", ".zprofile", ".config/fish/config.fish")  # fmt: skip
EMPTY = "/dev/null"

# <sched.h> and <sys/mount.h>, which Python 3.11 does not have
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x80000

_libc = ctypes.CDLL(None, use_errno=True)


def hide() -> None:
    """Have this process and its children, but nobody else, see the files of NAMES empty.

    Raises OSError where the system refuses it.
    """
    present = [path for name in NAMES if (path := Path.home() / name).is_file()]
    if not present:
        return
    if _libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace of one's own")
    _mount(None, "/", MS_REC | MS_SLAVE)
    for path in present:
        _mount(EMPTY, str(path), MS_BIND)


def _mount(source: str | None, target: str, flags: int) -> None:
    name = source.encode() if source else None
    if _libc.mount(name, os.fsencode(target), None, ctypes.c_ulong(flags), None):
        raise OSError(ctypes.get_errno(), f"cannot hide {target}")
