"""What a running client tells: by ~s, and to `qsh --status`; and sessions that are left at once."""

import json
import os
import stat
import time
from pathlib import Path

import pytest

from tests.integration.raw_client import wait_until
from tests.integration.test_promise_terminal import PLAIN_SHELL
from tests.pty_process import PtyProcess

pytestmark = pytest.mark.one_pair


@pytest.fixture
def running(qsh):
    """A client that stays."""
    with qsh.start("-tt", "host", "echo ready; exec cat") as process:
        assert process.stdout.readline().strip() == b"ready"
        yield process
        process.kill()


def asked(qsh, *words):
    return json.loads(qsh("--status", "--json", *words).stdout)


def test_by_an_escape(qsh):
    with PtyProcess(qsh.command("-t", "host", PLAIN_SHELL), qsh.environment) as terminal:
        terminal.expect(r"remote\$ $")
        terminal.write("\r~s")
        terminal.expect(r"^connected, last heard \d+\.\d s ago")
        terminal.expect(r"^path +127\.0\.0\.1:\d+ to 127\.0\.0\.1:\d+, \w+, datagrams of \d+ bytes")
        terminal.expect(r"^round trip +\d+\.\d ms")
        terminal.expect(r"^packets .* lost \(0\.0 %\)")
        terminal.expect(r"^since then +0 migrations, 0 resumptions")
        terminal.write("\rexit\r")
        assert terminal.wait() == 0


def test_asked_from_outside(qsh, running):
    assert wait_until(lambda: asked(qsh))
    [facts] = asked(qsh, "host")
    assert facts["pid"] == running.pid
    assert facts["connected"] is True
    assert facts["bytes_received"] > 1000
    assert facts["round_trip"] > 0
    shown = qsh("--status", "host").stdout.decode()
    assert shown.startswith("host as ")
    assert "round trip" in shown
    assert asked(qsh, "another") == []
    nobody = qsh("--status", "another")
    assert (nobody.status, nobody.stderr) == (255, "qsh: no client of another is running that could"
                                                   " be asked\n")  # fmt: skip


def test_the_socket_is_the_users_alone_and_goes_with_the_client(qsh, running):
    folder = Path(qsh.environment["XDG_STATE_HOME"], "qsh", "clients")
    assert wait_until(lambda: folder.exists() and list(folder.iterdir()))
    [path] = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    running.stdin.write(b"\4")
    running.stdin.flush()
    assert running.wait(20) == 0
    assert not list(folder.iterdir())


def test_what_a_killed_client_leaves_is_taken_away(qsh, running):
    folder = Path(qsh.environment["XDG_STATE_HOME"], "qsh", "clients")
    assert wait_until(lambda: asked(qsh))
    running.kill()
    running.wait()
    assert list(folder.iterdir())
    assert asked(qsh) == []
    assert not list(folder.iterdir())


def test_a_short_command_opens_no_socket(qsh):
    assert qsh("host", "true").status == 0
    assert not Path(qsh.environment["XDG_STATE_HOME"], "qsh", "clients").exists()


@pytest.fixture
def name(qsh):
    chosen = f"d{os.getpid()}-{time.monotonic_ns()}"
    yield chosen
    qsh(f"--kill={chosen}", "host")


def test_started_and_left(qsh, name):
    command = "stty -echo; echo begun; read x; echo got $x"
    started = qsh("--detach", f"--session={name}", "host", command)
    assert started.status == 0, started.stderr
    assert f"--attach={name} host" in started.stderr
    listed = qsh("--list", "host").stdout.decode()
    [line] = [line for line in listed.splitlines() if name in line]
    assert "left" in line
    with qsh.start("-tt", f"--attach={name}", "host") as process:
        assert process.stdout.readline().strip() == b"begun"
        process.stdin.write(b"it\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == b"got it"
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_name_that_is_taken(qsh, name):
    assert qsh("--detach", f"--session={name}", "host", "sleep 100").status == 0
    again = qsh("--detach", f"--session={name}", "host", "sleep 100")
    assert again.status == 255
    assert again.stderr.startswith("qsh: ")


@pytest.mark.parametrize("words", [["--detach", "host"], ["--status", "host", "true"],
                                   ["--detach", "--attach=x", "host"], ["--json", "host"]])
def test_what_does_not_go_together(qsh, words):
    result = qsh(*words)
    assert result.status == 255
    assert result.stderr.startswith("qsh: --")
