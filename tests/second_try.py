"""What failed among thousands that ran at once is run once more, alone.

Tests over real sockets, terminals and namespaces meet a machine that others use too: one that
passes alone has met the machine, and is told by name, so that who fails often is seen. More than a
few failures are no accident, nor is a run that was broken off: those have no second try.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

FEW = 8
TESTS_FAILED = 1
"""pytest's exit status; others mean that it did not run all."""

Pytest = Callable[[list[str]], int]
"""Runs pytest with these arguments; its exit status."""


def failures(folder: Path) -> list[str]:
    """The tests that the last run in this folder remembers as failed."""
    path = folder / ".pytest_cache" / "v" / "cache" / "lastfailed"
    return sorted(json.loads(path.read_text())) if path.exists() else []


def run_twice(pytest: Pytest, folder: Path, first: list[str], both: list[str],
              seconds: float) -> bool:  # fmt: skip
    """Run all with both lists of arguments, then alone and without the first list's what failed.

    A run that took as long as its session's bound (seconds) may have been ended by it.
    """
    begin = time.monotonic()
    status = pytest(["--cache-clear", *first, *both])
    if status != TESTS_FAILED or time.monotonic() - begin >= seconds:
        return status == 0
    names = failures(folder)
    if not 0 < len(names) <= FEW:
        return False
    print(f"\n── once more, alone: {len(names)} that failed", flush=True)
    passed = pytest(["--last-failed", *both]) == 0
    if passed:
        print("\npassed only when run alone:", *names, sep="\n  ", flush=True)
    return passed
