"""A process with its children and theirs: who they are, and how they end together.

For private servers, which must leave nothing behind. Imports nothing of qsh.
"""

import contextlib
import os
import signal
import time

LEAVING_SECONDS = 2.0
"""For all to end on SIGTERM, before SIGKILL."""


def end_tree(root: int) -> None:
    """End our child `root` and all its descendants: SIGTERM for it, and after a while SIGKILL for
    whoever is left."""
    family = {root} | descendants(root)
    with contextlib.suppress(ProcessLookupError):
        os.kill(root, signal.SIGTERM)
    deadline = time.monotonic() + LEAVING_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(root, os.WNOHANG)
        family = {pid for pid in family if parent_of(pid) is not None}
        if not family:
            return
        family |= set().union(*map(descendants, family))
        time.sleep(0.01)
    for pid in family:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def parent_of(pid: int) -> int | None:
    """The process ID of its parent; None if it has ended (a zombie counts as ended)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state == b"Z" else int(parent)


def descendants(pid: int) -> set[int]:
    """Its children, their children and so on; nothing where there is no /proc."""
    try:
        parents = {int(name): parent_of(int(name)) for name in os.listdir("/proc")
                   if name.isdigit()}  # fmt: skip
    except OSError:
        return set()
    found: set[int] = set()
    layer = {pid}
    while layer:
        layer = {child for child, parent in parents.items() if parent in layer} - found
        found |= layer
    return found
