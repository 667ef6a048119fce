"""The private server of --demo is gone whatever happens, and needs nothing but Python."""

import os
import signal
import subprocess
import time

import pytest

from qsh.process_tree import descendants, parent_of
from tests.integration.harness import QSH, clean_environment


@pytest.fixture
def environment(tmp_path):
    return clean_environment(tmp_path, TMPDIR=str(tmp_path))


def all_gone(folder, family):
    deadline = time.monotonic() + 15
    while any(folder.glob("qsh-demo-*")) or any(parent_of(pid) is not None for pid in family):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_ended_client_leaves_nothing(environment, tmp_path, number):
    client = subprocess.Popen([*QSH, "--demo", "--", "echo up; exec sleep 60"], env=environment,
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              start_new_session=True)
    assert client.stdout.readline() == b"up\n"
    family = descendants(client.pid)
    assert len(family) >= 3
    client.send_signal(number)
    client.communicate(timeout=20)
    assert all_gone(tmp_path, family)


def test_a_folder_of_somebody_elses_is_not_run(environment, tmp_path):
    """Python's -m would look there first."""
    folder = tmp_path / "foreign"
    (folder / "qsh").mkdir(parents=True)
    for name in ("qsh/__init__.py", "asyncio.py"):
        (folder / name).write_text("raise SystemExit('the foreign folder was run')\n")
    program = [QSH[0], "-P", *QSH[1:]]
    done = subprocess.run([*program, "--demo", "--", "exit 7"], capture_output=True, timeout=60,
                          env=environment, cwd=folder)
    assert done.returncode == 7, done.stderr


def test_no_other_program_is_needed(environment):
    done = subprocess.run([*QSH, "--demo", "--", "exit 7"], capture_output=True, timeout=60,
                          env=environment | {"PATH": "/nonexistent"})
    assert done.returncode == 7, done.stderr


def test_a_server_that_does_not_start_is_told(environment, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'qsh.server' in sys.orig_argv: sys.exit('no server today')\n")
    path = f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"
    done = subprocess.run([*QSH, "--demo", "--", "true"], capture_output=True, timeout=60,
                          env=environment | {"PYTHONPATH": path}, text=True)
    assert done.returncode == 255
    assert "qsh: the private qshd did not start" in done.stderr
    assert not any(tmp_path.glob("qsh-demo-*"))
