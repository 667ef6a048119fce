"""internal-sftp under OpenSSH's own sftp, and the private names of asyncssh that it stands on."""

import os
import shutil
import subprocess
import sys

import pytest

from qsh.sftp.handler import _HANDLERS, _KNOWN, FileServer, Handler
from qsh.sftp.pipe_io import PipeReader, PipeWriter
from qsh.sftp.server import expand_folder, is_internal
from tests.sources import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("sftp"), reason="needs OpenSSH's sftp")

PROGRAM = """#!{python}
import sys
sys.path.insert(0, {root!r})
from qsh.sftp.server import serve
sys.exit(serve({words!r}, user="somebody", home={home!r}))
"""


@pytest.fixture
def sftp(tmp_path):
    """Run a batch of sftp against our server: sftp(["ls"], "-R") → (status, stdout + stderr)."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()

    def run(commands, *words):
        program = tmp_path / "server"
        program.write_text(PROGRAM.format(
            python=sys.executable, root=str(ROOT), home=str(there), words=["-d", "%d", *words]
        ))  # fmt: skip
        program.chmod(0o755)
        done = subprocess.run(
            ["sftp", "-b", "-", "-D", str(program)], input="\n".join(commands) + "\n", cwd=here,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    run.here, run.there = here, there
    return run


def test_files_go_both_ways(sftp):
    data = os.urandom(1 << 20)
    (sftp.here / "a").write_bytes(data)
    assert sftp(["put a b", "get b c"])[0] == 0
    assert (sftp.there / "b").read_bytes() == (sftp.here / "c").read_bytes() == data


def test_what_else_is_done_to_files(sftp):
    (sftp.there / "a").write_text("x" * 1000)
    commands = [
        "mkdir d", "rename a d/b", "ln d/b hard", "ln -s d/b soft", "chmod 600 hard",
        "cp d/b copy", "rm d/b", "rmdir d", "df", "ls -l",
    ]  # fmt: skip
    status, text = sftp(commands)
    assert status == 0, text
    assert sorted(os.listdir(sftp.there)) == ["copy", "hard", "soft"]
    assert str((sftp.there / "soft").readlink()) == "d/b"
    assert (sftp.there / "hard").stat().st_mode & 0o777 == 0o600
    assert "1000" in text


def test_read_only(sftp):
    (sftp.here / "a").touch()
    (sftp.there / "b").write_text("here")
    assert sftp(["get b"], "-R")[0] == 0
    for command in ("put a", "rm b", "mkdir d", "rename b c", "chmod 600 b", "ln b c", "ln -s b c"):
        status, text = sftp([command], "-R")
        assert status != 0
        assert "ermission denied" in text or "not support" in text
    assert os.listdir(sftp.there) == ["b"]


def test_chosen_requests_are_refused(sftp):
    (sftp.there / "b").touch()
    status, text = sftp(["rm b"], "-P", "remove")
    assert status != 0
    assert "ermission denied" in text
    assert (sftp.there / "b").exists()


def test_umask(sftp):
    (sftp.here / "a").touch(mode=0o666)
    assert sftp(["put a"], "-u", "077")[0] == 0
    assert (sftp.there / "a").stat().st_mode & 0o777 == 0o600


def test_requests_are_logged(sftp):
    (sftp.here / "a").touch()
    text = sftp(["put a"], "-e", "-l", "INFO")[1]
    assert f"internal-sftp: Received open request for {sftp.there}/a" in text


def test_every_request_has_what_handles_it():
    assert set(_HANDLERS) >= _KNOWN
    writer = PipeWriter(1)
    reader = PipeReader(0, writer, None)
    reader.logger = type("Log", (), {"get_child": lambda *_: None})()
    handler = Handler(FileServer(is_read_only=False), reader, writer, frozenset())
    assert {name for name, _ in handler._extensions} == {n for n in _KNOWN if isinstance(n, bytes)}


@pytest.mark.parametrize(
    ("command", "is_ours"),
    [(b"internal-sftp", True), (b"internal-sftp\t-R", True), (b"internal-sftpd", False),
     (b"/usr/lib/internal-sftp", False), (b"", False)],
)  # fmt: skip
def test_which_commands_mean_it(command, is_ours):
    assert is_internal(command) is is_ours


def test_tokens_of_the_first_folder():
    assert expand_folder("%d/%u/%%x", user="u", home="/h") == "/h/u/%x"
