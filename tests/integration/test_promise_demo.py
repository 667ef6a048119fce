"""`qsh --demo`: a private server and a shell over QUIC with nothing set up before."""

import os
import subprocess
from pathlib import Path

import pytest

from qsh.quic.engine import available
from tests.integration.harness import QSH, clean_environment
from tests.pty_process import PtyProcess

pytestmark = pytest.mark.parametrize("engine", available())


@pytest.fixture
def environment(engine, tmp_path):
    return clean_environment(tmp_path, QSH_ENGINE=engine, TMPDIR=str(tmp_path))


def demo(environment, *command, stdin=None):
    return subprocess.run([*QSH, "--demo", "--", *command], env=environment, capture_output=True,
                          stdin=stdin or subprocess.DEVNULL, timeout=60)  # fmt: skip


def test_a_command_gives_its_output_and_status(environment):
    done = demo(environment, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, b"out\n")
    assert done.stderr.endswith(b"err\n")


def test_one_word_is_a_line_for_the_shell(environment):
    assert demo(environment, "echo a; echo b").stdout == b"a\nb\n"


def test_input_reaches_the_command(environment, tmp_path):
    data = os.urandom(1 << 20) * 10
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open("rb") as file:
        assert demo(environment, "cat", stdin=file).stdout == data


def test_a_shell_in_a_terminal(environment):
    with PtyProcess([*QSH, "--demo"], environment) as terminal:
        terminal.expect(r"[$#%>] *(\x1b\[[0-9;?]*[a-z])*$", 30)
        terminal.write("echo $((6*7))\nexit 5\n")
        terminal.expect(r"\b42$")
        assert terminal.wait() == 5


def test_nothing_is_left_behind(environment, tmp_path):
    before = {path.name for path in tmp_path.iterdir()}
    demo(environment, "true")
    assert {path.name for path in tmp_path.iterdir()} == before
    assert not [p for p in processes() if str(tmp_path) in p]


def processes():
    """Command lines of all processes that may be seen."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
