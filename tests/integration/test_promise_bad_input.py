"""Garbage, strangers and vanished peers: others are not disturbed, and nobody sees a traceback."""

import os
import random
import signal
import socket
import subprocess
import time

import pytest

from tests.integration.harness import QSH, process_is_gone
from tests.integration.raw_client import named, wait_until
from tests.pty_process import PtyProcess

SEED = 2026
FLOOD = 3000
"""Datagrams: enough to meet every branch of the listener, too few to fill the line."""


def first_flight(qsh):
    """The datagrams that a client sends first, as they are on the wire."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(5)
        port = str(sink.getsockname()[1])
        with qsh.start("-o", "ConnectTimeout=1", "-p", port, "host", "true") as process:
            datagrams = [sink.recv(2048)]
            process.kill()
            process.communicate()
    return datagrams


def mutations(datagram, count):
    """Truncated, flipped, extended and replaced copies."""
    chance = random.Random(SEED)
    for number in range(count):
        kind = number % 5
        if kind == 0:
            yield datagram[: chance.randrange(len(datagram))]
        elif kind == 1:
            yield chance.randbytes(chance.randrange(1, 1500))
        elif kind == 2:
            yield datagram + chance.randbytes(chance.randrange(200))
        else:
            changed = bytearray(datagram)
            for _ in range(kind):
                changed[chance.randrange(min(60, len(changed)))] = chance.randrange(256)
            yield bytes(changed)


def test_garbage_disturbs_no_session_and_no_newcomer(qsh, daemon):
    (initial,) = first_flight(qsh)
    with qsh.start("host", "cat") as running:
        running.stdin.write(b"before\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"before\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for number, datagram in enumerate(mutations(initial, FLOOD)):
                stranger.sendto(datagram, ("127.0.0.1", daemon.port))
                if number % 100 == 0:
                    time.sleep(0.01)
        stdout, _ = running.communicate(b"after\n", timeout=30)
        assert stdout == b"after\n"
    assert qsh("host", "echo in", timeout=60).stdout == b"in\n"
    assert "Traceback" not in daemon.log


def test_a_server_that_answers_garbage_is_an_error_in_a_line(qsh):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        port = str(server.getsockname()[1])
        process = qsh.start("-o", "ConnectTimeout=2", "-p", port, "host", "true")
        initial, client = server.recvfrom(2048)
        for datagram in mutations(initial, 200):
            server.sendto(datagram, client)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 255
    assert stderr.startswith(b"qsh: ")
    assert stderr.count(b"\n") <= 2
    assert b"Traceback" not in stderr


def test_the_command_of_a_client_that_vanishes_ends(own_daemon, new_client):
    daemon = own_daemon("ClientAliveInterval 1", "ClientAliveCountMax 2", "CommandTimeout 1")
    qsh = new_client(daemon)
    process = qsh.start("host", "echo $$; exec cat")
    remote = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process_is_gone(remote, 30), daemon.log


def test_a_server_that_is_killed_ends_no_running_session_of_others(own_daemon, new_client):
    """The listener may die: the sessions have processes of their own."""
    daemon = own_daemon()
    qsh = new_client(daemon)
    process = qsh.start("host", "cat")
    process.stdin.write(b"one\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"one\n"
    daemon.process.kill()
    daemon.process.wait()
    stdout, _ = process.communicate(b"two\n", timeout=30)
    assert (process.returncode, stdout) == (0, b"two\n")


@pytest.mark.one_pair
def test_who_does_not_log_in_is_sent_away(own_daemon, new_client):
    daemon = own_daemon("LoginGraceTime 2")
    qsh = new_client(daemon)
    change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", qsh.key]
    subprocess.run(change, check=True, stdin=subprocess.DEVNULL)
    with PtyProcess(qsh.command("host", "echo in"), qsh.environment) as terminal:
        terminal.expect("Enter passphrase")
        assert daemon.wait_for_log("Timeout before authentication", 20)
        assert wait_until(lambda: not named(daemon, "qshd-worker"))
        terminal.write("secret\n")
        assert terminal.wait() == 255


@pytest.mark.one_pair
def test_a_config_that_does_not_hold_is_told_before_anything_listens(own_daemon):
    with pytest.raises(RuntimeError, match=r"(?s)nosuchkeyword|NoSuchKeyword"):
        own_daemon("NoSuchKeyword yes")
    with pytest.raises(RuntimeError, match="/nonexistent/key"):
        own_daemon("HostKey /nonexistent/key")


@pytest.mark.one_pair
def test_closed_standard_descriptors_are_no_traceback(qsh):
    for closing in ("<&-", ">&-", "2>&-"):
        command = f'exec "$@" {closing}'
        done = subprocess.run(
            ["sh", "-c", command, "sh", *QSH, "-F", qsh.config, "host", "true"],
            env=qsh.environment, capture_output=True, timeout=30,
        )  # fmt: skip
        assert b"Traceback" not in done.stderr
        assert done.returncode == 0, (closing, done.stderr)


@pytest.mark.one_pair
def test_a_full_disk_under_the_output_is_an_error_not_a_hang(qsh):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        process = qsh.start("host", "head -c 100000 /dev/zero", stdout=full)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode != 0
    assert b"Traceback" not in stderr
