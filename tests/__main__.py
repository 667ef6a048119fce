"""All checks by one command: ruff, mypy --strict, pytest with coverage, in that order.

    python -m tests              what every change must pass
    python -m tests --full       also the long tests
    python -m tests -k login     further arguments go to pytest

Where cargo is installed the native engine is checked (clippy, cargo test) and built first, which
is done once for each state of its sources; tests that concern the engines then run on both and on
mixed pairs. As root the tests run twice: as a throw-away user without rights, and as root with all
that needs it. Unless --full is given they share the work then: the user has the mixed pairs of
engines, and no tests of what rights and a machine cannot change. A few that fail beside the others
are run once more, alone, and named where they pass then. The exit status is 0 only if
everything passed; pytest's closing line comes last.
"""

import math
import os
import subprocess
import sys

from tests.native_engine import build_wheel, check, has_cargo, install_wheel
from tests.plain_user import PlainUser
from tests.second_try import run_twice
from tests.sources import ROOT

COVERAGE = ["--cov=qsh", "--cov-report=term:skip-covered"]


PARALLEL = ["-n", "4"]
"""Most of the tests' time is waiting; what they share of the machine has names of their own."""

SANS_IO = ["wire", "terminal", "quic", "auth", "config", "net", "forward",
           "test_shape.py", "test_layers.py", "test_compatibility.py"]  # fmt: skip
"""In tests/unit: the same for every user, and so run once."""

SESSION_SECONDS = 2400
BOUNDS = ["--maxfail=30", f"--session-timeout={SESSION_SECONDS}"]
"""What is broken throughout is told soon."""


def announce(title: str) -> None:
    print(f"\n── {title}", flush=True)


def run(title: str, *command: str) -> bool:
    """Run a step in the project's root, showing its output; whether it passed."""
    announce(f"{title}: {' '.join(command[2:] if command[1:2] == ('-m',) else command)}")
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0


def run_module(*command: str) -> bool:
    return run(command[0], sys.executable, "-m", *command)


def native_engine() -> bool:
    """Build and install the native engine where that is possible; False if it should and fails."""
    if not has_cargo():
        announce("native engine: no cargo here, so the tests run on aioquic alone")
        return True
    announce("native engine: cargo clippy, cargo test, and its wheel")
    wheel = build_wheel()
    return wheel is not None and check() and install_wheel(wheel, sys.executable)


def pytest(arguments: list[str]) -> int:
    announce(f"pytest {' '.join(arguments)}")
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode


def longest(arguments: list[str]) -> float:
    """Of one run, in seconds."""
    return math.inf if "--full" in arguments else SESSION_SECONDS


def bounds(arguments: list[str]) -> list[str]:
    return [] if "--full" in arguments else BOUNDS


def share(arguments: list[str], *, is_root: bool) -> list[str]:
    """The part of one of two runs."""
    if "--full" in arguments:
        return []
    if is_root:
        return ["--pairs=equal"]
    return ["--pairs=mixed", "--ignore=tests/fuzz",
            *(f"--ignore=tests/unit/{name}" for name in SANS_IO)]  # fmt: skip


def as_plain_user(arguments: list[str]) -> bool:
    """The tests once more, by a user without rights."""
    announce("pytest as a plain user")
    with PlainUser() as user:
        common = [*bounds(arguments), *share(arguments, is_root=False), *arguments]
        return run_twice(user.pytest, user.project, PARALLEL, common, longest(arguments))


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    passed = {
        "native engine": native_engine(),
        "ruff": run_module("ruff", "check", "."),
        "mypy": run_module("mypy", "--strict"),
    }
    common = [*bounds(arguments), *arguments]
    if os.geteuid() == 0:
        passed["pytest as a plain user"] = as_plain_user(arguments)
        common += share(arguments, is_root=True)
    passed["pytest"] = run_twice(pytest, ROOT, [*COVERAGE, *PARALLEL], common, longest(arguments))
    if failed := [name for name, good in passed.items() if not good]:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
