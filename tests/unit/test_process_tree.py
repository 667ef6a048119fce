"""Ending a whole tree of processes."""

import os
import subprocess
import time

from qsh import process_tree


def sleeping_tree():
    """A child with a child that ignores SIGTERM; (child, grandchild)."""
    child = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; sh -c 'trap \"\" TERM; sleep 60 & echo ready; wait' & wait"],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )
    assert child.stdout.readline() == b"ready\n"
    child.stdout.close()
    return child


def test_a_tree_is_ended_although_it_ignores_sigterm(monkeypatch):
    monkeypatch.setattr(process_tree, "LEAVING_SECONDS", 0.2)
    child = sleeping_tree()
    family = process_tree.descendants(child.pid)
    assert len(family) >= 2
    process_tree.end_tree(child.pid)
    child.wait()
    deadline = time.monotonic() + 5
    while any(process_tree.parent_of(pid) is not None for pid in family):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_processes_that_are_not_there():
    assert process_tree.parent_of(2**22 + 1) is None
    assert process_tree.descendants(2**22 + 1) == set()
    assert process_tree.parent_of(os.getpid()) == os.getppid()
