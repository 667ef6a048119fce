"""Back to a session without the user's hands: by its ticket, for as long as all rules allow it."""

import os
import signal
import subprocess
import termios
import time

import pytest

from tests.integration.raw_client import named, wait_until
from tests.pam_system import PASSWORD
from tests.pty_process import PtyProcess

ACCEPTED = "Accepted session-ticket@qsh for"
PATIENCE = 40.0
"""Seconds for a way back, on a busy machine."""


def tickets(daemon):
    folder = daemon.folder / "run" / "tickets"
    names = os.listdir(folder) if folder.exists() else []
    return [folder / name for name in names if not name.startswith(".")]


def cut(daemon, workers=()):
    """Kill every worker: the connections are lost."""
    for worker in workers or named(daemon, "qshd-worker"):
        os.kill(worker, signal.SIGKILL)


def echo(process, line=b"line\n"):
    process.stdin.write(line)
    process.stdin.flush()
    assert process.stdout.readline() == line


@pytest.fixture
def session(new_client, ssh_agent):
    """`session(daemon)`: a `cat` whose user has logged in by an agent's key that is there no more,
    and has a ticket."""
    started = []
    env = {"SSH_AUTH_SOCK": str(ssh_agent)}

    def start(daemon, *, has_ticket=True):
        qsh = new_client(daemon)
        subprocess.run(["ssh-add", "-q", qsh.key], env=os.environ | env, check=True)
        qsh.configure("IdentityFile none", "IdentitiesOnly no")
        process = qsh.start("host", "exec cat", env=env)
        started.append(process)
        echo(process)
        subprocess.run(["ssh-add", "-q", "-D"], env=os.environ | env, check=True)
        assert not has_ticket or wait_until(lambda: tickets(daemon), PATIENCE)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def goes_on(process, daemon, workers=()):
    before = daemon.log.count(ACCEPTED)
    cut(daemon, workers)
    echo(process, b"after\n")
    assert daemon.log.count(ACCEPTED) == before + 1


def is_refused(process, daemon):
    cut(daemon)
    os.write(process.stdin.fileno(), b"so that it notices")
    assert process.wait(PATIENCE) == 255
    assert ACCEPTED not in daemon.log
    return process.stderr.read().decode()


def test_nobody_is_asked_again(own_daemon, session):
    daemon = own_daemon()
    process = session(daemon)
    for _ in range(3):
        goes_on(process, daemon)
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert wait_until(lambda: not tickets(daemon), PATIENCE)  # it goes with its session


@pytest.mark.one_pair
@pytest.mark.parametrize("kind", ["SIGKILL", "SIGHUP"])
def test_after_a_restart_of_the_listener(own_daemon, session, kind):
    daemon = own_daemon()
    process = session(daemon)
    workers = named(daemon, "qshd-worker")  # who outlives the listener is not its child any more
    before = daemon.log.count("Server listening")
    if kind == "SIGHUP":
        daemon.process.send_signal(signal.SIGHUP)
    else:
        daemon.process.kill()
        daemon.process.wait()
        daemon.requested_port = daemon.port
        daemon.start()
    assert wait_until(lambda: daemon.log.count("Server listening") > before, PATIENCE)
    goes_on(process, daemon, workers)


@pytest.mark.one_pair
def test_a_server_that_gives_none(own_daemon, session):
    daemon = own_daemon("SessionTicketLifetime 0")
    process = session(daemon, has_ticket=False)
    assert "cannot go on with the session" in is_refused(process, daemon)
    assert not tickets(daemon)


@pytest.mark.one_pair
def test_an_expired_ticket(own_daemon, session):
    daemon = own_daemon("SessionTicketLifetime 3")
    process = session(daemon)
    assert wait_until(lambda: age(tickets(daemon)[0]) > 4, PATIENCE)
    assert "cannot go on with the session" in is_refused(process, daemon)
    assert "it has expired" in daemon.log


def age(path):
    return time.time() - path.stat().st_mtime


@pytest.mark.one_pair
def test_a_key_that_may_not_log_in_any_more(own_daemon, session):
    daemon = own_daemon()
    process = session(daemon)
    daemon.authorize()
    assert "permission denied" in is_refused(process, daemon)
    assert "may not log in now" in daemon.log


# ------------------------------------------------------------ with a real account


@pytest.fixture
def typed(own_daemon, new_client, account):
    """`typed(settings)`: (daemon, terminal) of a user who has typed the password on a terminal, and
    whose ticket is there."""
    started = []

    def start(*settings):
        daemon = own_daemon(*settings or ["UsePAM no"])
        client = new_client(daemon)
        client.configure(f"User {account.name}", "PubkeyAuthentication no")
        terminal = PtyProcess(client.command("-tt", "host", "stty -echo; echo ready; exec cat"),
                              client.environment)  # fmt: skip
        started.append(terminal)
        type_password(terminal, 1)
        terminal.expect("ready", PATIENCE)
        assert wait_until(lambda: tickets(daemon), PATIENCE)
        return daemon, terminal

    yield start
    for terminal in started:
        terminal.close()


def lose(daemon, terminal):
    """The connection; and a key is pressed, so that the client notices."""
    cut(daemon)
    terminal.write("what was typed\r")


def type_password(terminal, times, password=PASSWORD):
    """Answer the prompt that comes for the nth time."""
    assert terminal.read_until(lambda: terminal.text.count("'s password: ") >= times, PATIENCE), (
        terminal.text)  # fmt: skip
    assert terminal.read_until(lambda: not terminal.echoes(), PATIENCE)
    terminal.write(password + "\n")


def is_raw(terminal):
    """Whether each key is passed on by itself."""
    return not termios.tcgetattr(terminal.fd)[3] & termios.ICANON


@pytest.mark.root
@pytest.mark.one_pair
def test_who_typed_a_password_is_not_asked_again(typed):
    daemon, terminal = typed()
    cut(daemon)
    terminal.write("after the cut\r")
    terminal.expect("after the cut", PATIENCE)
    assert daemon.log.count(ACCEPTED) == 1
    assert terminal.text.count("password:") == 1


@pytest.mark.root
@pytest.mark.one_pair
def test_who_has_a_new_password_is_asked_for_it(typed, account):
    """And the terminal is raw again afterwards."""
    daemon, terminal = typed()
    account.set_password("entirely new, 99")
    lose(daemon, terminal)
    terminal.expect("connection to host lost: log in again to go on", PATIENCE)
    type_password(terminal, 2, "entirely new, 99")
    assert terminal.read_until(lambda: is_raw(terminal), PATIENCE)
    terminal.write("after the login\r")
    terminal.expect("after the login", PATIENCE)
    assert "password is another now" in daemon.log
    assert "entirely new" not in daemon.log


@pytest.mark.root
@pytest.mark.one_pair
@pytest.mark.parametrize("options", [("-L",), ("-e", "2000-01-01")], ids=["locked", "expired"])
def test_an_account_that_is_locked_does_not_go_on(typed, account, options):
    daemon, terminal = typed()
    account.change(*options)
    lose(daemon, terminal)
    terminal.expect("connection to host lost: log in again to go on", PATIENCE)
    for number in (2, 3, 4):
        type_password(terminal, number)
    terminal.expect("cannot go on with the session.*permission denied", PATIENCE)
    assert terminal.wait(PATIENCE) == 255
    assert ACCEPTED not in daemon.log
    assert terminal.line_mode()


@pytest.mark.root
@pytest.mark.one_pair
def test_pams_account_stage_is_asked_again(typed, account, service):
    stack = service("auth required pam_unix.so", "account required pam_unix.so",
                    "session required pam_permit.so")  # fmt: skip
    daemon, terminal = typed("UsePAM yes", f"PAMServiceName {stack.name}",
                             "KbdInteractiveAuthentication no")  # fmt: skip
    stack.path.write_text(stack.path.read_text().replace(
        "account required pam_unix.so", "account required pam_deny.so"
    ))  # fmt: skip
    lose(daemon, terminal)
    terminal.expect("connection to host lost: log in again to go on", PATIENCE)
    type_password(terminal, 2)
    terminal.expect("permission denied", PATIENCE)
    assert ACCEPTED not in daemon.log
