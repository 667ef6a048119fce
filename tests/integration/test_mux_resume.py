"""A shared connection is lost: its sessions go on over another one, and so does the master."""

import os
import signal
import uuid
from pathlib import Path

import pytest

from tests.integration.forward_peers import EchoServer, connect, free_port
from tests.integration.raw_client import named, wait_until
from tests.integration.test_mux import pid_of
from tests.integration.test_resume_ticket import tickets, type_password
from tests.pty_process import PtyProcess

pytestmark = pytest.mark.one_pair


@pytest.fixture
def shared(qsh):
    """A qsh with a master that persists."""
    path = Path("/tmp") / f"qsh-mux-{uuid.uuid4().hex[:12]}"
    qsh.configure(f"ControlPath {path}", "ControlPersist yes")
    assert qsh("-M", "host", "true").status == 0
    yield qsh
    qsh("-O", "exit", "host")


def lose_connection(daemon):
    """Kill the workers that there are."""
    for worker in named(daemon, "qshd-worker"):
        os.kill(worker, signal.SIGKILL)


def line(process, text):
    """It goes there and comes back."""
    process.stdin.write(text + b"\n")
    process.stdin.flush()
    return process.stdout.readline() == text + b"\n"


def is_echoed(port):
    """Whether a byte through the forward comes back."""
    with connect(port) as sock:
        sock.settimeout(2)
        try:
            sock.sendall(b"x")
            return sock.recv(1) == b"x"
        except OSError:
            return False


def test_all_who_share_it_go_on_and_others_come(shared, daemon):
    master = pid_of(shared)
    riders = [shared.start("host", "cat") for _ in range(3)]
    try:
        assert all(line(rider, b"before") for rider in riders)
        for number in range(2):
            logins = daemon.log.count("Accepted publickey")
            lose_connection(daemon)
            assert all(line(rider, b"after %d" % number) for rider in riders)
            assert daemon.log.count("Accepted publickey") == logins + 1
        assert pid_of(shared) == master
        assert shared("host", "echo new").stdout == b"new\n"
        for rider in riders:
            rider.stdin.close()
            assert rider.wait(20) == 0
    finally:
        for rider in riders:
            rider.kill()
            rider.wait()


def test_a_terminal_and_what_was_typed_meanwhile(shared, daemon):
    with PtyProcess(shared.command("-tt", "host", "stty -echo; echo ready; cat"),
                    shared.environment) as terminal:
        terminal.expect("ready")
        lose_connection(daemon)
        terminal.write("typed at once\r")
        terminal.expect("typed at once")


def test_a_master_with_a_session_of_its_own(qsh, daemon):
    path = Path("/tmp") / f"qsh-mux-{uuid.uuid4().hex[:12]}"
    qsh.configure(f"ControlPath {path}")
    with qsh.start("-M", "host", "cat") as own:
        assert line(own, b"one")
        assert wait_until(path.exists)
        with qsh.start("host", "cat") as rider:
            assert line(rider, b"two")
            lose_connection(daemon)
            assert line(rider, b"three")
            assert line(own, b"four")
            rider.stdin.close()
            assert rider.wait(20) == 0
        own.stdin.close()
        assert own.wait(20) == 0


def test_a_master_with_nothing_but_forwards(qsh, daemon):
    path, port = Path("/tmp") / f"qsh-mux-{uuid.uuid4().hex[:12]}", free_port()
    qsh.configure(f"ControlPath {path}")
    with EchoServer() as echo, \
            qsh.start("-M", "-N", "-L", f"{port}:127.0.0.1:{echo.port}", "host") as master:
        try:
            assert wait_until(path.exists)
            assert is_echoed(port)
            lose_connection(daemon)
            # The first one may find out that the connection is lost, and be lost with it.
            assert wait_until(lambda: is_echoed(port))
        finally:
            master.kill()


@pytest.mark.root
def test_who_logged_in_by_a_password_goes_on_alone(own_daemon, new_client, account):
    """The master cannot log in again without its user's hands: each session does, by its ticket."""
    daemon = own_daemon("UsePAM no")
    qsh = new_client(daemon)
    path = Path("/tmp") / f"qsh-mux-{uuid.uuid4().hex[:12]}"
    qsh.configure(f"User {account.name}", "PubkeyAuthentication no", f"ControlPath {path}")
    master = PtyProcess(qsh.command("-M", "-N", "host"), qsh.environment)
    riders = []
    try:
        type_password(master, 1)
        assert wait_until(path.exists, 30)
        riders = [qsh.start("host", "cat") for _ in range(2)]
        assert all(line(rider, b"before") for rider in riders)
        assert wait_until(lambda: len(tickets(daemon)) == 2, 30)
        for number in range(2):
            lose_connection(daemon)
            assert all(line(rider, b"after %d" % number) for rider in riders)
            assert daemon.log.count("Accepted session-ticket@qsh") == 2 * number + 2
        assert not path.exists()  # there is nothing to share any more
        for rider in riders:
            rider.stdin.close()
            assert rider.wait(20) == 0
        assert wait_until(lambda: not tickets(daemon), 20)
    finally:
        for rider in riders:
            rider.kill()
            rider.wait()
        master.close()


@pytest.mark.root
def test_the_first_session_of_a_master_that_persists_goes_on_alone(
    own_daemon, new_client, account
):
    daemon = own_daemon("UsePAM no")
    qsh = new_client(daemon)
    path = Path("/tmp") / f"qsh-mux-{uuid.uuid4().hex[:12]}"
    qsh.configure(f"User {account.name}", "PubkeyAuthentication no", f"ControlPath {path}",
                  "ControlPersist yes")  # fmt: skip
    words = qsh.command("-M", "-tt", "host", "stty -echo; echo ready; exec cat")
    terminal = PtyProcess(words, qsh.environment)
    try:
        type_password(terminal, 1)
        terminal.expect("ready", 30)
        assert wait_until(lambda: tickets(daemon), 30)
        lose_connection(daemon)
        terminal.write("after the cut\r")
        terminal.expect("after the cut", 30)
        assert "Accepted session-ticket@qsh" in daemon.log
        terminal.write("\4")
        assert terminal.wait(20) == 0
        assert not path.exists()
    finally:
        terminal.close()
