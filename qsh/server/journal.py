"""Lines for systemd's journal, with fields: who, from where, by which key.

The native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram per entry, `NAME=value` per
line, and a length in the place of `=` for values of several lines. Connected anew for each line,
so that no descriptor needs to survive the closing of all.
"""

import os
import socket

from qsh import log
from qsh.log import Level, Sink

SOCKET = "/run/systemd/journal/socket"
MAX_VALUE = 8192
"""Bytes of one field: what a stranger sent cannot fill the journal's datagram."""
PRIORITIES = {Level.FATAL: 2, Level.ERROR: 3, Level.INFO: 6, Level.VERBOSE: 6}
"""syslog(3)'s numbers; 7 for others."""


def is_there(path: str = SOCKET) -> bool:
    """Whether a journal listens."""
    return os.path.exists(path)


def entry(fields: dict[str, str]) -> bytes:
    """An entry of the journal. Names are of capital letters, digits and `_`."""
    out = bytearray()
    for name, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")[:MAX_VALUE]
        if b"\n" in data:
            out += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            out += name.encode() + b"=" + data + b"\n"
    return bytes(out)


def journal_sink(program: str, facility: int, path: str = SOCKET) -> Sink:
    """Sends lines to the journal, with the fields of `log.add_fields`; `facility` as in
    syslog(3), without its factor 8."""

    def write(level: Level, line: str) -> None:
        fields = {
            "MESSAGE": line.removeprefix(f"{program}: "),
            "PRIORITY": str(PRIORITIES.get(level, 7)), "SYSLOG_IDENTIFIER": program,
            "SYSLOG_FACILITY": str(facility), "SYSLOG_PID": str(os.getpid()), **log.fields(),
        }  # fmt: skip
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # a journal that hangs must not hang a login
                sock.sendto(entry(fields), path)
        except OSError:
            return

    return write
