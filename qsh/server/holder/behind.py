"""Who is behind a door that takes no more visitors: a stopped holder, whose backlog is full.

A connection would tell (unix(7), SO_PEERCRED), but there can be none. Linux's proc(5) knows which
process has the listening socket; root may look at everybody's.
"""

import contextlib
import os
from pathlib import Path

LISTENING = 1 << 16
"""__SO_ACCEPTCON, among the flags in /proc/net/unix."""


def pid_behind(name: str) -> int:
    """The process that listens at the door of that name; 0 if there is none to be seen."""
    inodes = _listening(name)
    for entry in os.listdir("/proc") if inodes else []:
        if entry.isdigit() and inodes & _sockets(f"/proc/{entry}/fd"):
            return int(entry)
    return 0


def _listening(name: str) -> set[str]:
    """As /proc/PID/fd shows them. Doors are bound by a short path, whose end is their name."""
    found = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if len(words) == 8 and int(words[3], 16) & LISTENING and words[7].endswith(f"/{name}"):
            found.add(f"socket:[{words[6]}]")
    return found


def _sockets(folder: str) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                found.add(os.readlink(entry.path))  # noqa: PTH115
    return found
