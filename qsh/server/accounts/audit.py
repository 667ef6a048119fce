"""Records for the kernel's audit log, as sshd writes them: who logged in, from where, or failed to.

Over netlink(7), without a library: one record, one acknowledgement. Where audit is not compiled in,
switched off or not permitted (containers), nothing is written, and nothing is said: PAM's own
records go the same way.
"""

import socket
import struct
import sys
from enum import IntEnum

NETLINK_AUDIT = 9
_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence number, port."""
_ERROR = struct.Struct("=i")
NLMSG_ERROR = 2
NLM_F_REQUEST, NLM_F_ACK = 1, 4
PATIENCE = 1.0
"""Seconds for the kernel to acknowledge."""
UNKNOWN = "(unknown)"
"""In the place of names that are no account: somebody may have typed a password there."""


class AuditType(IntEnum):
    """Kinds of records, from <linux/audit.h>."""

    USER_LOGIN = 1112
    USER_LOGOUT = 1113


def record_login(name: str, uid: int | None, address: str, *, is_good: bool) -> bool:
    """A login, or one that failed; gives whether it was recorded. `uid` None: no such account."""
    return send(AuditType.USER_LOGIN, login_text("login", name, uid, address, is_good=is_good))


def record_logout(name: str, uid: int, address: str) -> bool:
    """The end of a login; gives whether it was recorded."""
    return send(AuditType.USER_LOGOUT, login_text("login", name, uid, address, is_good=True))


def login_text(
    operation: str, name: str, uid: int | None, address: str, *, is_good: bool
) -> str:
    """The text of audit_log_acct_message(3), which tools of audit(8) parse."""
    who = f"id={uid}" if is_good and uid is not None else f"acct={_value(name, uid)}"
    result = "success" if is_good else "failed"
    return (f"op={operation} {who} exe={_quoted(sys.executable)} hostname=? addr={address} "
            f"terminal=ssh res={result}")  # fmt: skip


def _value(name: str, uid: int | None) -> str:
    return _quoted(name if uid is not None else UNKNOWN)


def _quoted(text: str) -> str:
    """In quotes, or in hexadecimal digits where a quote or a blank is in it: nobody can write
    fields of a record by choosing a name."""
    data = text.encode("utf-8", "surrogateescape")
    if all(0x21 <= byte < 0x7F and byte != 0x22 for byte in data):
        return f'"{text}"'
    return data.hex().upper()


def send(kind: AuditType, text: str) -> bool:
    """Hand one record to the kernel; gives whether it took it."""
    message = text.encode() + b"\0"
    header = _HEADER.pack(
        _HEADER.size + len(message), kind, NLM_F_REQUEST | NLM_F_ACK, 1, 0
    )
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT) as sock:
            sock.settimeout(PATIENCE)
            sock.sendto(header + message, (0, 0))
            return _is_taken(sock.recv(4096))
    except (OSError, AttributeError):  # AttributeError: not on Linux
        return False


def _is_taken(answer: bytes) -> bool:
    if len(answer) < _HEADER.size + _ERROR.size:
        return False
    kind = _HEADER.unpack_from(answer)[1]
    error: int = _ERROR.unpack_from(answer, _HEADER.size)[0]
    return kind == NLMSG_ERROR and error == 0
