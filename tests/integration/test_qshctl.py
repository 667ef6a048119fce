"""qshctl: the sessions of all users, seen and ended by the administrator."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qsh.server.holder.behind import pid_behind
from qsh.server.holder.door import describe_all
from qsh.server.monitor.kept_sessions import FOLDER
from tests.integration.harness import USER
from tests.integration.raw_client import named, wait_until

pytestmark = pytest.mark.one_pair

PROGRAM = "echo ready; exec sleep 600"


@pytest.fixture
def control(daemon):
    """Run qshctl on the daemon's sessions."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", "import sys; from qsh.server.control import main; "
             "sys.exit(main())", "--run-dir", f"{daemon.folder}/run", *arguments],
            capture_output=True, text=True, timeout=60, env=daemon.environment, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def begin(qsh, control):
    """Begin a session of that name, by a client that stays."""
    started = []

    def start(name):
        started.append(qsh.start("-tt", f"--session={name}", "host", PROGRAM))
        assert started[-1].stdout.readline() == b"ready\r\n"
        return started[-1]

    yield start
    control("--force", "kill", *(one["session"] for one in shown(control)))
    for process in started:
        process.kill()
        process.communicate()


def shown(control):
    done = control("--json", "sessions")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_listed(begin, control, daemon):
    client = begin("work")
    (one,) = shown(control)
    assert (one["user"], one["name"], one["command"]) == (USER, "work", PROGRAM)
    assert one["attached"].startswith("127.0.0.1 port ")
    assert [one["pid"]] == named(daemon, "qsh-holder")
    assert one["memory"] > 1_000_000
    assert abs(one["began"] - time.time()) < 60
    head, line = control("sessions").stdout.splitlines()
    assert head.split() == ["USER", "NAME", "AGE", "ATTACHED", "SIZE", "PID", "COMMAND"]
    assert f"{USER} " in line
    assert "127.0.0.1 port" in line
    os.write(client.stdin.fileno(), b"\r~d")
    assert client.wait(20) == 0
    assert wait_until(lambda: not shown(control)[0]["attached"])
    assert " left " in control("sessions").stdout.splitlines()[1]


def test_killed(begin, control, daemon):
    clients = [begin(name) for name in ("one", "two")]
    assert control("kill", f"{USER}/one").returncode == 0
    assert clients[0].wait(20) == 255
    assert [one["name"] for one in shown(control)] == ["two"]
    assert len(named(daemon, "qsh-holder")) == 1


@pytest.mark.slow
def test_stopped_holders_stall_nobody(begin, control, daemon, qsh):
    """All are asked at once; what does not answer in a second is listed nevertheless."""
    for number in range(4):
        begin(f"s{number}")
    holders = named(daemon, "qsh-holder")
    for pid in holders[:3]:
        os.kill(pid, signal.SIGSTOP)
    try:
        sessions = shown(control)
        assert sorted(one["pid"] for one in sessions) == sorted(holders)
        assert sum(one["attached"] is None for one in sessions) == 3
        assert sum("does not answer" in line for line in
                   qsh("--list", "host").stdout.decode().splitlines()) == 3  # fmt: skip
        stopped = next(one for one in sessions if one["attached"] is None)
        refused = control("kill", stopped["session"])
        assert refused.returncode == 1
        assert "--force" in refused.stderr
        assert control("--force", "kill", stopped["session"]).returncode == 0
    finally:
        for pid in holders[:3]:
            if pid in named(daemon, "qsh-holder"):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.root  # who else may see whose a socket is, and only the administrator has such a need
def test_a_stopped_holder_whose_backlog_is_full_is_killed(begin, control, daemon):
    begin("work")
    (one,) = shown(control)
    os.kill(one["pid"], signal.SIGSTOP)
    folder = f"{daemon.folder}/run/{FOLDER}"
    (name,) = (path.stem for path in Path(folder).glob("*.about"))
    while describe_all(folder, [name], patience=0.0)[name].pid:
        pass
    assert pid_behind(name) == one["pid"]
    assert control("--force", "kill", "work").returncode == 0
    assert shown(control) == []


def test_what_is_not_there(control):
    assert shown(control) == []
    done = control("kill", "nothing")
    assert (done.returncode, done.stderr) == (255, "qshctl: there is no session nothing\n")
    assert "which command?" in control().stderr
    assert "which command?" in control("kill").stderr
    assert control("--help").stdout.startswith("usage: qshctl")
    assert control("--no-such").returncode == 255


def test_a_table_that_is_another_users(control, tmp_path):
    done = control("--run-dir", str(tmp_path / "none"), "sessions")
    assert done.returncode == 255
    assert "no qshd keeps sessions in" in done.stderr
