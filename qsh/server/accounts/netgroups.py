"""Netgroups, by the C library and what nsswitch.conf(5) tells it: files, NIS, LDAP."""

import ctypes
import os


def includes(group: str, *, host: str | None = None, user: str | None = None) -> bool | None:
    """Whether the netgroup has that host, or that user: innetgr(3). None where the C library
    knows no netgroups. A source that does not answer has no members."""
    if _look_up is None:
        return None
    names = (None if name is None else os.fsencode(name) for name in (host, user))
    return bool(_look_up(os.fsencode(group), *names, None))


def _find_call() -> "ctypes._NamedFuncPointer | None":
    call = getattr(ctypes.CDLL(None), "innetgr", None)
    if call is not None:
        call.argtypes = (ctypes.c_char_p,) * 4
        call.restype = ctypes.c_int
    return call


_look_up = _find_call()
