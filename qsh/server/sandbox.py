"""Giving rights away: the worker's cage, a user's identity for good or for a moment.

The only file that changes user IDs or calls the C library. Each step is checked after it is done;
a step that fails ends the process, since going on would mean going on with too many rights.
"""

import contextlib
import ctypes
import os
import pwd
import resource
import struct
from collections.abc import Iterator
from typing import NoReturn

from qsh.server.accounts.accounts import Account
from qsh.server.bpf import INSTRUCTION_SIZE
from qsh.server.seccomp import worker_filter

# From prctl(2).
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
# From linux/capability.h.
CAPABILITY_VERSION_3 = 0x20080522
CAP_SYS_CHROOT = 18

# Ours.
WORKER_USERS = ("qshd", "nobody")
"""Who workers run as: the first that exists. `qshd` is made at installation."""
WORKER_MEMORY = 512 * 1024 * 1024
"""Bytes of private memory for one connection: all its windows full, and the programs."""
WORKER_FILES = 4096
"""Descriptors: one per session and per forwarded connection, and the connection's own few."""
WORKER_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_NOFILE: WORKER_FILES,
    resource.RLIMIT_DATA: WORKER_MEMORY,
}

_libc = ctypes.CDLL(None, use_errno=True)


def is_root() -> bool:
    """Whether this process may become others."""
    return os.geteuid() == 0


def worker_ids() -> tuple[int, int]:
    """User and group ID for workers. Raises KeyError if no such user exists."""
    for name in WORKER_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise KeyError(f"none of the users {', '.join(WORKER_USERS)} exists")


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor that is not in `keep`."""
    low = 0
    for descriptor in sorted(keep):
        if descriptor > low:  # an empty range at 0 would mean everything (CPython's closerange)
            os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1 << 30)


def null_standard_files(null: int | None = None) -> None:
    """Connect descriptors 0, 1 and 2 to nothing: to `null`, or /dev/null opened here."""
    if null is None:
        null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)


def hide_memory() -> None:
    """No core dumps, and no ptrace by processes of the same user."""
    _prctl(PR_SET_DUMPABLE, 0)


def forbid_privileges() -> None:
    """No program that this process or its children run gains rights (no_new_privs)."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def leave_root(empty: str | None) -> None:
    """As root: be the account without rights for good, in the folder `empty`, with one power left:
    to have it for a root. Without root `empty` is None."""
    try:
        if is_root():
            if empty is not None:
                os.chdir(empty)
            uid, gid = worker_ids()
            _prctl(PR_SET_KEEPCAPS, 1)
            os.setgroups((gid,))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            _keep_capabilities(CAP_SYS_CHROOT)
            if os.getresuid() != (uid,) * 3 or os.getresgid() != (gid,) * 3 or _can_be_root():
                raise OSError("root is not left")
        forbid_privileges()
        hide_memory()  # once more: it is undone by a change of user
    except (OSError, KeyError) as error:
        _die(f"cannot leave all rights: {error}")


def _keep_capabilities(*kept: int) -> None:
    """Have these and no others. Programs that are run get none, since there is no_new_privs.
    Raises OSError."""
    mask = sum(1 << number for number in kept)
    head = struct.pack("=II", CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    if _libc.capset(head, struct.pack("=IIIIII", low, low, 0, high, high, 0)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def name_process(name: str) -> None:
    """What ps(1) and top(1) show; at most 15 bytes count."""
    _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def return_memory() -> None:
    """Give the kernel back what the C library keeps for later: most of what a handshake took."""
    with contextlib.suppress(AttributeError):  # glibc alone has it
        _libc.malloc_trim(0)


def enter_worker_cage(empty: str | None, *, keeps_output: bool = False) -> None:
    """Become a worker, after `leave_root` with the same `empty`, which from now on is the root of
    the file system; `keeps_output` is for those that log by themselves. Everything needed later
    must be open and imported."""
    try:
        null = None if keeps_output else os.open(os.devnull, os.O_RDWR)
        if empty is not None:
            if os.listdir("."):
                raise OSError("the folder for its root is not empty")
            os.chroot(".")
        os.chdir("/")
        _keep_capabilities()
        for limit, value in WORKER_LIMITS.items():
            if keeps_output and limit == resource.RLIMIT_FSIZE:
                continue  # the log may be a file
            most = resource.getrlimit(limit)[1]
            if most != resource.RLIM_INFINITY:
                value = min(value, most)
            resource.setrlimit(limit, (value, value))
        forbid_privileges()
        hide_memory()
        if null is not None:
            null_standard_files(null)
        _filter_system_calls()
    except (OSError, ValueError) as error:
        _die(f"cannot enter the worker's sandbox: {error}")


def change_root(path: str) -> None:
    """Have this folder for a root, for good. Raises OSError."""
    os.chdir(path)
    os.chroot(".")
    os.chdir("/")


def become_user(account: Account) -> None:
    """Take on the user's IDs and groups for good. Without root nothing is to be done."""
    try:
        if is_root():
            _become(account.uid, account.gid, account.groups)
        hide_memory()
    except OSError as error:
        _die(f"cannot become user {account.name}: {error}")


@contextlib.contextmanager
def as_user(account: Account) -> Iterator[None]:
    """Open files with the user's rights and no others, then be root again."""
    if not is_root():
        yield
        return
    groups = os.getgroups()
    group = os.getegid()
    try:
        os.setgroups(account.groups)
        os.setegid(account.gid)
        os.seteuid(account.uid)
    except OSError as error:
        _die(f"cannot be {account.name} for a moment: {error}")
    try:
        yield
    finally:
        try:
            os.seteuid(0)
            os.setegid(group)
            os.setgroups(groups)
        except OSError as error:
            _die(f"cannot become root again: {error}")


@contextlib.contextmanager
def with_groups_of(account: Account) -> Iterator[None]:
    """Have the user's supplementary groups for a moment, and all other rights as before."""
    if not is_root():
        yield
        return
    groups = os.getgroups()
    os.setgroups(account.groups)
    try:
        yield
    finally:
        try:
            os.setgroups(groups)
        except OSError as error:
            _die(f"cannot leave the groups of {account.name}: {error}")


def _become(uid: int, gid: int, groups: tuple[int, ...]) -> None:
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        raise OSError("the user did not change")
    if uid != 0 and _can_be_root():
        raise OSError("root came back")


def _can_be_root() -> bool:
    try:
        os.setuid(0)
    except OSError:
        return False
    return True


class _Filter(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def _filter_system_calls() -> None:
    """Nothing but what server.seccomp allows, from here on. On a machine whose system calls are
    not known there, the other walls must do."""
    program = worker_filter()
    if program is None:
        return
    described = _Filter(len(program) // INSTRUCTION_SIZE, program)
    if _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(described), 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _die(text: str) -> NoReturn:
    os.write(2, f"qshd: {text}\n".encode("utf-8", "backslashreplace"))
    os._exit(255)
