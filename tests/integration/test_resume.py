"""A session outlives its connection: workers are killed, and not a byte is lost or doubled."""

import os
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.integration import numbered
from tests.integration.forward_peers import LOCALHOST, EchoServer, free_port
from tests.integration.harness import Client, public
from tests.integration.raw_client import named, wait_until
from tests.integration.relay import Relay

PROGRAM = f"exec {sys.executable} {Path(numbered.__file__)}"


def feed(process, count, pause):
    """Numbered input, in pieces that ignore the lines' ends, until it is all sent."""

    def write():
        data = numbered.lines(0, count)
        size = numbered.WIDTH * numbered.PER_TURN + 1
        for at in range(0, len(data), size):
            os.write(process.stdin.fileno(), data[at : at + size])
            time.sleep(pause)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def cut(daemon):
    """Kill every worker; whether there was one."""
    killed = False
    for worker in named(daemon, "qshd-worker"):
        try:
            os.kill(worker, signal.SIGKILL)
            killed = True
        except ProcessLookupError:
            continue
    return killed


class Reader:
    """Reads a program's output to its end, in a thread."""

    def __init__(self, process):
        self._pieces = []
        self._file = process.stdout
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while piece := os.read(self._file.fileno(), 65536):
            self._pieces.append(piece)

    def begins(self):
        """Whether something comes at all."""
        return wait_until(lambda: self._pieces)

    def all(self, seconds):
        self._thread.join(seconds)
        return b"".join(self._pieces)


def talk(daemon, qsh, *options, cuts, count, seed):
    """Run the numbered program, with that many cuts at random moments."""
    chance = random.Random(seed)
    pause = 0.01
    began = time.monotonic()
    with qsh.start(*options, "host", f"{PROGRAM} {count} {pause}") as process:
        reader, done = Reader(process), 0
        assert reader.begins()  # from now on the terminal echoes nothing
        feed(process, count, pause)
        while done < cuts and process.poll() is None:
            time.sleep(chance.uniform(0.05, 0.5))
            done += cut(daemon)
        output = reader.all(90)
        process.stdin.close()
        status = process.wait(10)
        errors = process.stderr.read().decode()
    assert output == numbered.lines(0, count) + f"all {count} lines came\n".encode(), (
        output[-300:], errors[-2000:])  # fmt: skip
    assert status == 37, errors
    assert done == cuts, f"it was over after {time.monotonic() - began} s and {done} cuts"


@pytest.mark.parametrize("options", [("-tt",), ("-T",)], ids=["terminal", "pipes"])
def test_not_a_byte_is_lost_or_doubled(daemon, qsh, options):
    talk(daemon, qsh, *options, cuts=5, count=6000, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("-tt",), ("-T",)], ids=["terminal", "pipes"])
def test_fifty_cuts(daemon, qsh, options):
    talk(daemon, qsh, *options, cuts=50, count=60000, seed=2)


def test_bulk_is_whole(daemon, qsh):
    """Large pieces are under way at the moment of the cut."""
    with qsh.start("host", "cat") as process:
        data = os.urandom(24_000_000)
        reader = Reader(process)
        half = len(data) // 2
        process.stdin.write(data[:half])
        assert reader.begins()
        cut(daemon)
        process.stdin.write(data[half:])
        process.stdin.close()
        assert reader.all(60) == data
        assert process.wait(10) == 0


def test_the_end_while_nobody_listens(daemon, qsh):
    """The program ends while the client is cut off: output and status are kept for it."""
    with qsh.start("host", "echo one; sleep 1; echo two; exit 9") as process:
        assert process.stdout.readline() == b"one\n"
        os.kill(process.pid, signal.SIGSTOP)
        assert cut(daemon)
        time.sleep(1.5)
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout.read() == b"two\n"
        assert process.wait(20) == 9


def test_without_resumption(daemon, qsh):
    """ResumeTimeout 0: a lost connection is an error, as with ssh."""
    with qsh.start("-o", "ResumeTimeout=0", "host", "echo one; sleep 30") as process:
        assert process.stdout.readline() == b"one\n"
        assert cut(daemon)
        assert process.wait(20) == 255
        assert b"lost" in process.stderr.read()


def test_a_client_that_leaves_ends_its_session(daemon, qsh):
    before = set(named(daemon, "qsh-holder"))
    with qsh.start("host", "echo one; sleep 60") as process:
        assert process.stdout.readline() == b"one\n"
        assert set(named(daemon, "qsh-holder")) - before
        process.terminate()
        process.wait(10)
    assert wait_until(lambda: set(named(daemon, "qsh-holder")) <= before)


def test_a_server_that_keeps_nothing(own_daemon, new_client):
    daemon = own_daemon("CommandTimeout 0", "SessionTimeout 0")
    qsh = new_client(daemon)
    with qsh.start("host", "echo one; sleep 30") as process:
        assert process.stdout.readline() == b"one\n"
        assert cut(daemon)
        os.write(process.stdin.fileno(), b"what is sent is answered by a reset")
        assert process.wait(20) == 255
    assert wait_until(lambda: not named(daemon, "qsh-holder"))


def test_who_may_not_log_in_any_more_cannot_resume(daemon, qsh):
    with qsh.start("host", "echo one; sleep 60") as process:
        assert process.stdout.readline() == b"one\n"
        daemon.authorize()  # the key is revoked
        assert cut(daemon)
        assert process.wait(30) == 255
        assert b"permission denied" in process.stderr.read()


def test_a_session_does_not_go_on_with_another_host(own_daemon, engines, tmp_path):
    """Though StrictHostKeyChecking is off: what was typed meanwhile would be the other's."""
    daemon, other = own_daemon(), own_daemon()
    relay = Relay(daemon.port)
    client = Client(tmp_path / "far", engines[0], "127.0.0.1", relay.port)
    for one in (daemon, other):
        one.authorize(public(client.key))
    options = ("-o", "StrictHostKeyChecking=no", "-o", "ResumeTimeout=4")
    with client.start(*options, "host", "echo one; sleep 60") as process:
        assert process.stdout.readline() == b"one\n"
        relay.lead_to(other.port)
        assert cut(daemon)
        assert process.wait(30) == 255
        assert b"changed" in process.stderr.read().lower()
    assert "Accepted" not in other.log
    relay.close()


@pytest.mark.one_pair
def test_the_listener_dies_in_the_middle(own_daemon, new_client):
    """kill -9 of it alone: its workers go on, and not a byte is lost."""
    daemon = own_daemon()
    qsh = new_client(daemon)
    with qsh.start("-T", "host", f"{PROGRAM} 4000 0.01") as process:
        reader = Reader(process)
        assert reader.begins()
        feed(process, 4000, 0.01)
        time.sleep(0.5)
        os.kill(daemon.process.pid, signal.SIGKILL)
        output = reader.all(90)
        process.stdin.close()
        assert process.wait(20) == 37
    assert output == numbered.lines(0, 4000) + b"all 4000 lines came\n"


def echoes(port, target=None):
    """Whether bytes come back by this port; with `target` it is a SOCKS proxy's."""
    try:
        with socket.create_connection((LOCALHOST, port), 5) as sock:
            if target is not None:
                sock.sendall(b"\x05\x01\x00")
                sock.recv(2)
                sock.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + target.to_bytes(2, "big"))
                sock.recv(10)
            sock.sendall(b"hello")
            return sock.recv(5) == b"hello"
    except OSError:
        return False


@pytest.mark.one_pair
def test_forwards_work_after_a_resumption(daemon, qsh):
    """-L, -R and -D are set up again; what they carried before is closed."""
    local, remote, dynamic = (free_port() for _ in range(3))
    with EchoServer() as echo, qsh.start(
        "-L", f"{local}:127.0.0.1:{echo.port}", "-R", f"{remote}:127.0.0.1:{echo.port}",
        "-D", str(dynamic), "host", "echo one; sleep 600",
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"one\n"
        for _ in range(2):
            assert wait_until(lambda: echoes(local), 20)
            assert wait_until(lambda: echoes(remote), 20)
            assert wait_until(lambda: echoes(dynamic, echo.port), 20)
            assert cut(daemon)
        process.kill()
