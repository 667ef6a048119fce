"""Sessions by name: left and found again, taken over, watched, listed, ended."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.integration.raw_client import named, wait_until
from tests.integration.test_resume import Reader

pytestmark = pytest.mark.one_pair

ECHO = "stty -echo; echo ready; while read x; do echo got $x; done"


class Attached:
    """A client with a terminal there."""

    def __init__(self, qsh, *arguments):
        self.process = qsh.start("-tt", *arguments, start_new_session=True)
        self.reader = Reader(self.process)

    def sees(self, text, seconds=15):
        return wait_until(lambda: text in b"".join(self.reader._pieces), seconds)

    def types(self, text):
        os.write(self.process.stdin.fileno(), text)

    def ends(self):
        self.process.stdin.close()
        status = self.process.wait(15)
        return status, self.process.stderr.read().decode()

    def close(self):
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.process.stderr):
            file.close()


@pytest.fixture
def attach(qsh):
    made = []

    def start(*arguments):
        made.append(Attached(qsh, *arguments))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def name(qsh):
    chosen = f"t{os.getpid()}-{time.monotonic_ns()}"
    yield chosen
    qsh(f"--kill={chosen}", "host")


def test_taken_over(attach, qsh, name):
    first = attach(f"--session={name}", "host", ECHO)
    assert first.sees(b"ready")
    first.types(b"one\n")
    assert first.sees(b"got one")
    second = attach(f"--attach={name}", "host")
    assert second.sees(b"got one")  # what was there before
    status, said = first.ends()
    assert status == 255
    assert "taken over from 127.0.0.1" in said
    second.types(b"two\n")
    assert second.sees(b"got two")


def test_shared_and_watched(attach, name):
    first = attach(f"--session={name}", "host", ECHO)
    assert first.sees(b"ready")
    second = attach("--share", f"--attach={name}", "host")
    third = attach("--read-only", f"--attach={name}", "host")
    assert second.sees(b"ready")
    assert third.sees(b"ready")
    second.types(b"from two\n")
    third.types(b"from three\n")
    for one in (first, second, third):
        assert one.sees(b"got from two")
    first.types(b"last\n")
    assert third.sees(b"got last")
    assert not third.sees(b"from three", 0.3)


def test_detached_and_listed(attach, qsh, name):
    first = attach(f"--session={name}", "host", ECHO)
    assert first.sees(b"ready")
    first.types(b"\n~d")
    status, said = first.ends()
    assert status == 0
    assert f"--attach={name}" in said
    listed = qsh("--list", "host")
    assert listed.status == 0
    assert not listed.stderr  # no terminal is missed where no session is wanted
    [line] = [line for line in listed.stdout.decode().splitlines() if name in line]
    assert "left" in line
    assert "stty" in line
    again = attach(f"--attach={name}", "host")
    again.types(b"here\n")
    assert again.sees(b"got here"), again.reader._pieces


def test_the_killed_clients_session_is_found(attach, daemon, qsh, name):
    """What had arrived of the input is a prefix; output goes on for the next client."""
    first = attach(f"--session={name}", "host", ECHO)
    assert first.sees(b"ready")
    for number in range(50):
        first.types(b"line %d\n" % number)
        assert number or first.sees(b"got line 0")
    first.process.send_signal(signal.SIGKILL)
    second = attach(f"--attach={name}", "host")
    assert second.sees(b"got line 0\r\n")
    second.types(b"end\n")
    assert second.sees(b"got end")
    got = [line for line in b"".join(second.reader._pieces).split(b"\r\n") if b"got line" in line]
    assert got == [b"got line %d" % number for number in range(len(got))]


def test_ended(attach, daemon, qsh, name):
    first = attach(f"--session={name}", "host", ECHO)
    assert first.sees(b"ready")
    assert qsh(f"--kill={name}", "host").status == 0
    assert first.ends()[0] == 255
    assert wait_until(lambda: not named(daemon, "qsh-holder"))
    gone = qsh(f"--kill={name}", "host")
    assert gone.status == 255
    assert f"no session {name}" in gone.stderr


def test_no_such_session(qsh):
    result = qsh("--attach=nothing", "host")
    assert result.status == 255
    assert "no such session" in result.stderr


def test_a_name_is_taken_once(attach, qsh, name):
    first = attach(f"--session={name}", "host", ECHO)
    assert first.sees(b"ready")
    assert qsh(f"--session={name}", "host", "true").status == 255


def test_output_without_end_while_nobody_is_there(attach, daemon, qsh, name):
    """`yes` runs on, memory does not grow, and the next client is served at once."""
    first = attach(f"--session={name}", "host", "exec yes")
    assert first.sees(b"y\r\n")
    first.types(b"\n~d")
    first.ends()
    [holder] = named(daemon, "qsh-holder")

    def memory():
        status = Path(f"/proc/{holder}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    time.sleep(2)
    before = memory()
    time.sleep(3)
    assert memory() < before + 2000
    began = time.monotonic()
    second = attach(f"--attach={name}", "host")
    assert second.sees(b"y\r\ny\r\n")
    assert time.monotonic() - began < 3


def test_only_the_screen_is_kept(own_daemon, new_client, tmp_path):
    """DetachedOutput screen: who comes back sees the last screen at once, and not what ran by."""
    qsh = new_client(own_daemon("DetachedOutput screen"))
    done = tmp_path / "done"
    program = f"stty -echo; echo ready; read x; seq 300000; touch {done}; printf end; read x"
    first, second = Attached(qsh, "--session=s", "host", program), None
    try:
        assert first.sees(b"ready", 20)
        first.types(b"\n")
        assert first.sees(b"\r\n999\r\n", 20)
        first.types(b"~d")
        first.ends()
        assert wait_until(done.exists, 60)
        second = Attached(qsh, "--attach=s", "host")
        assert second.sees(b"end", 20)
        seen = b"".join(second.reader._pieces)
        assert b"299999" in seen
        assert len(seen) < 300_000
        assert qsh("--kill=s", "host").status == 0
    finally:
        for one in filter(None, (first, second)):
            one.close()
