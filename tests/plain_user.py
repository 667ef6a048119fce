"""A throw-away account without rights, and the tests run by it. For root only.

The account gets its own copy of the project (root's folder may be closed to it), and where
root's Python is closed to it too, a virtual environment made with one that it may run.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.native_engine import build_wheel, cache_folder, has_cargo, install_wheel
from tests.sources import ROOT

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "venv", "target", "build", "dist", "__pycache__", ".*_cache", ".hypothesis",
    "*.egg-info", ".coverage*",
)  # fmt: skip
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
MODULES = "import pytest, hypothesis, asyncssh, aioquic, prompt_toolkit, platformdirs"
"""What an interpreter must have to be used as it is."""


class PlainUser:
    """The account, for the time of a `with` block."""

    def __init__(self) -> None:
        self.name = f"qsh-test{os.getpid()}"

    def __enter__(self) -> "PlainUser":
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", self.name], check=True)
        self.home = Path(pwd.getpwnam(self.name).pw_dir)
        self.project = self.home / "qsh"
        shutil.copytree(ROOT, self.project, ignore=NOT_COPIED, symlinks=True)
        subprocess.run(["chown", "-R", f"{self.name}:", self.home], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["userdel", "--force", "--remove", self.name], stderr=subprocess.DEVNULL)

    def run(self, *command: str | Path, quiet: bool = False) -> int:
        """Run a command as the user, in its copy of the project; the exit status."""
        environment = {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name,
                       "PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "SHELL": "/bin/bash"}  # fmt: skip
        account = pwd.getpwnam(self.name)
        done = subprocess.run(
            command, cwd=self.project, env=environment, user=account.pw_uid, group=account.pw_gid,
            extra_groups=[], umask=0o022, stdin=subprocess.DEVNULL, start_new_session=True,
            stderr=subprocess.DEVNULL if quiet else None,
        )  # fmt: skip
        return done.returncode

    def can_run(self, python: str | Path, code: str) -> bool:
        try:
            return self.run(python, "-c", code, quiet=True) == 0
        except PermissionError:
            return False

    def python(self) -> Path | None:
        """An interpreter with all the tests need; None, after saying why, if there is none."""
        if self.can_run(sys.executable, MODULES):
            return Path(sys.executable)
        enough = "import sys; sys.exit(sys.version_info < (3, 11))"
        names = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")
        found = filter(None, (shutil.which(name, path=SYSTEM_PATH) for name in names))
        base = next((python for python in found if self.can_run(python, enough)), None)
        if base is None:
            print("no Python >= 3.11 that a plain user may run: install python3, python3-venv")
            return None
        return environment_of(base)

    def pytest(self, arguments: list[str]) -> int:
        """Run the tests as the user; pytest's exit status, -1 without a Python to run it."""
        python = self.python()
        return -1 if python is None else self.run(python, "-m", "pytest", *arguments)


def _has_modules(python: Path) -> bool:
    """Whether what was made once is still whole."""
    checks: list[list[str | Path]] = [[python, "-m", "pip", "-V"], [python, "-c", MODULES]]
    try:
        return all(subprocess.run(c, capture_output=True).returncode == 0 for c in checks)
    except OSError:
        return False


def environment_of(base: str) -> Path | None:
    """A virtual environment with the project's and its tests' dependencies, kept between runs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    digest = hashlib.sha256(repr((base, needed)).encode()).hexdigest()[:16]
    folder = cache_folder() / f"venv-{digest}"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if not (complete.exists() and _has_modules(python)):
        shutil.rmtree(folder, ignore_errors=True)
        make: list[str | Path] = [base, "-m", "venv", folder]
        fill: list[str | Path] = [python, "-m", "pip", "install", "-q", *needed]
        for command in (make, fill):
            if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
                print("could not make a virtual environment (Debian: apt install python3-venv)")
                return None
        complete.touch()
    if has_cargo():
        wheel = build_wheel()
        if wheel is None or not install_wheel(wheel, python):
            return None
    return python
