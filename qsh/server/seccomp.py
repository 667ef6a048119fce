"""The worker's system calls, as a seccomp filter (seccomp(2), linux/filter.h). Pure.

An allow-list: what a process needs that computes, waits, and speaks on descriptors it was given.
Whatever else is tried fails with EPERM: above all making or connecting sockets (a connected socket
could otherwise be un-connected, and so take the packets of everybody on the port), opening files,
starting programs, signalling or tracing others. Names are those of syscalls(2).
"""

import platform

from qsh.server.bpf import JUMP_AT_LEAST, JUMP_EQUAL, LOAD_WORD, RETURN, jump, statement

# From linux/seccomp.h, linux/audit.h.
RETURN_ALLOW = 0x7FFF0000
RETURN_ERRNO = 0x00050000
OFFSET_NUMBER, OFFSET_ARCHITECTURE = 0, 4
OFFSET_ARGUMENTS = 16
"""Of the low half of the first of six arguments of 64 bits, on little-endian machines."""
X32_BIT = 0x40000000
EPERM = 1

FIONBIO, FIOCLEX = 0x5421, 0x5451
"""The only ioctl(2) requests: non-blocking, and close on exec. A terminal's are not among them."""
AT_EMPTY_PATH = 0x1000
"""How the C library asks for a descriptor's own state. With a path this would show a file's
metadata, where there are files to see; never its content."""

FILE_COMMANDS = (0, 1, 2, 3, 4, 1030)
"""Of fcntl(2): F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. With F_SETOWN and
F_SETSIG it sends other workers, whose user is the same, any signal."""
SOCKET_OPTIONS = (
    (1, 7), (1, 8), (1, 13),  # SOL_SOCKET: SO_SNDBUF, SO_RCVBUF, SO_LINGER
    (0, 10), (41, 23),  # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER
    (17, 104), (6, 1),  # UDP_GRO, TCP_NODELAY
    (0, 1), (41, 67),  # IP_TOS, IPV6_TCLASS
)  # fmt: skip
"""Of setsockopt(2), level and option. Programs for the kernel are not among them: one for a group
of SO_REUSEPORT would say who of all on the port gets which packet."""

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""uname(2)'s machine to AUDIT_ARCH_*."""

_SYSTEM_CALLS: dict[str, tuple[int | None, int | None]] = {
    # name: (x86_64, aarch64); None where it does not exist
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66),
    "close": (3, 57), "close_range": (436, 436), "fstat": (5, 80), "lseek": (8, 62),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "pipe2": (293, 59), "eventfd2": (290, 19),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "mremap": (25, 216), "madvise": (28, 233), "membarrier": (324, 283),
    "futex": (202, 98), "rseq": (334, 293), "set_robust_list": (273, 99),
    "restart_syscall": (219, 128), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None),
    "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441),
    "socketpair": (53, 199), "accept": (43, 202), "accept4": (288, 242),
    "recvfrom": (45, 207), "sendto": (44, 206), "recvmsg": (47, 212), "sendmsg": (46, 211),
    "recvmmsg": (299, 243), "sendmmsg": (307, 269), "shutdown": (48, 210),
    "getsockname": (51, 204), "getpeername": (52, 205),
    "getsockopt": (55, 209),
    "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "getrusage": (98, 165),
    "getpid": (39, 172), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getrandom": (318, 278),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
_CONDITIONAL: dict[str, tuple[tuple[int, int], int, tuple[int, ...]]] = {
    # name: numbers as above, which argument counts (from 0), and what it may be
    "ioctl": ((16, 29), 1, (FIONBIO, FIOCLEX)),
    "newfstatat": ((262, 79), 3, (AT_EMPTY_PATH,)),
    "fcntl": ((72, 25), 1, FILE_COMMANDS),
}
_SETSOCKOPT = (54, 208)


def worker_filter(machine: str | None = None) -> bytes | None:
    """The filter as an array of `struct sock_filter`; None for a machine whose numbers are not
    known here."""
    machine = machine or platform.machine()
    architecture = ARCHITECTURES.get(machine)
    if architecture is None:
        return None
    column = list(ARCHITECTURES).index(machine)
    program = [
        statement(LOAD_WORD, OFFSET_ARCHITECTURE),
        jump(JUMP_EQUAL, architecture, 1, 0),
        _DENY,
        statement(LOAD_WORD, OFFSET_NUMBER),
        jump(JUMP_AT_LEAST, X32_BIT, 0, 1),
        _DENY,
    ]
    for numbers in _SYSTEM_CALLS.values():
        number = numbers[column]
        if number is not None:
            program += [jump(JUMP_EQUAL, number, 0, 1), _ALLOW]
    for places, argument, values in _CONDITIONAL.values():
        program += _only_with(places[column], argument, values)
    program += _only_options(_SETSOCKOPT[column])
    return b"".join([*program, _DENY])


def _only_options(number: int) -> list[bytes]:
    """Allow setsockopt(2) for what SOCKET_OPTIONS lists."""
    checks = []
    for level, option in SOCKET_OPTIONS:
        checks += [
            statement(LOAD_WORD, OFFSET_ARGUMENTS + 8), jump(JUMP_EQUAL, level, 0, 3),
            statement(LOAD_WORD, OFFSET_ARGUMENTS + 16), jump(JUMP_EQUAL, option, 0, 1), _ALLOW,
        ]  # fmt: skip
    checks.append(_DENY)
    return [jump(JUMP_EQUAL, number, 0, len(checks)), *checks]


def _only_with(number: int, argument: int, values: tuple[int, ...]) -> list[bytes]:
    """Allow a call if one of its arguments is among `values`."""
    checks = [statement(LOAD_WORD, OFFSET_ARGUMENTS + 8 * argument)]
    for value in values:
        checks += [jump(JUMP_EQUAL, value, 0, 1), _ALLOW]
    checks.append(_DENY)
    return [jump(JUMP_EQUAL, number, 0, len(checks)), *checks]


_DENY = statement(RETURN, RETURN_ERRNO | EPERM)
_ALLOW = statement(RETURN, RETURN_ALLOW)
