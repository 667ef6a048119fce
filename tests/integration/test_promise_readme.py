"""The README's first command, as a newcomer would paste it, in a fresh copy of the project."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import clean_environment
from tests.native_engine import cache_folder
from tests.plain_user import NOT_COPIED
from tests.sources import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def installers():
    """What pip and cargo are told here, whatever the home folder."""
    told = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    homes = {f"{name.upper()}_HOME": str(Path.home() / f".{name}") for name in ("cargo", "rustup")}
    return homes | told | {"CARGO_TARGET_DIR": str(cache_folder() / "target")}


def commands():
    """Lines of the README that make a virtual environment: all that a newcomer types."""
    return re.findall(r"^    (python3 -m venv .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_the_first_command_installs_and_opens_a_shell(tmp_path):
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=NOT_COPIED)
    environment = clean_environment(tmp_path, **installers())
    del environment["PYTHONPATH"]
    done = subprocess.run(
        ["sh", "-c", f"{commands()[0]} -- 'echo works; exit 7'"], cwd=project, env=environment,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 7
    assert done.stdout.endswith(b"works\n")


def test_the_second_command_is_what_ci_runs():
    steps = [step.strip() for step in commands()[1].split("&&")]
    script = (ROOT / ".ci" / "run").read_text().replace(" -q", "")
    assert all(f"\n{step}\n" in script for step in steps)
