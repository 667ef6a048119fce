"""What goes wrong around a session: dead networks, killed servers, signals, full disks."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.integration.test_promise_terminal import PLAIN_SHELL
from tests.pty_process import PtyProcess

pytestmark = pytest.mark.one_pair


def test_tilde_dot_works_when_the_network_is_dead(far, relay):
    with PtyProcess(far.command("-t", "host", PLAIN_SHELL), far.environment) as terminal:
        terminal.expect(r"remote\$ $")
        relay.is_cut = True
        terminal.write("echo this goes nowhere\r")
        time.sleep(0.5)
        terminal.write("~.")
        assert terminal.wait(5) == 255
        assert "Connection to host closed." in terminal.text


def test_a_dead_network_is_noticed_by_serveralive(far, relay):
    process = far.start("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2", "host",
                        "echo up; sleep 60")
    assert process.stdout.readline() == b"up\n"
    relay.is_cut = True
    began = time.monotonic()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 255
    assert b"qsh: connection to 127.0.0.1" in stderr
    assert b"lost" in stderr
    assert 1 < time.monotonic() - began < 10


def test_a_network_that_comes_back_is_no_matter(far, relay):
    with PtyProcess(far.command("-t", "host", PLAIN_SHELL), far.environment) as terminal:
        terminal.expect(r"remote\$ $")
        relay.is_cut = True
        terminal.write("echo $((40 + 2))\r")
        time.sleep(1.5)
        assert "42" not in terminal.text
        relay.is_cut = False
        terminal.expect(r"^42$", 20)
        terminal.write("exit\r")
        assert terminal.wait() == 0


KEEP_TITLE, PUT_BACK_TITLE = "\x1b[22;2t", "\x1b[23;2t"


def test_silence_is_told_in_the_title_and_taken_back(far, relay):
    with PtyProcess(far.command("-t", "host", PLAIN_SHELL), far.environment) as terminal:
        terminal.expect(r"remote\$ $")
        assert KEEP_TITLE not in terminal.text
        relay.is_cut = True
        began = time.monotonic()
        terminal.write("echo $((40 + 2))\r")
        terminal.expect(r"\x1b\]2;qsh: nothing heard for \d+ s; ~\. leaves\x07")
        assert 2.5 < time.monotonic() - began < 5
        told = len(terminal.text)
        terminal.read_until(lambda: terminal.text.count("nothing heard") > 1, 3)
        assert re.fullmatch(r"(\x1b\]2;qsh: nothing heard for \d+ s; ~\. leaves\x07)+",
                            terminal.text[told:])  # fmt: skip
        relay.is_cut = False
        terminal.expect(r"^42$", 20)
        after = terminal.text.partition("nothing heard")[2]
        assert after.index(PUT_BACK_TITLE) < after.index("42")  # before anything else
        terminal.write("exit\r")
        assert terminal.wait() == 0
        assert terminal.text.count(KEEP_TITLE) == terminal.text.count(PUT_BACK_TITLE) == 1


def test_leaving_puts_the_title_back(far, relay):
    with PtyProcess(far.command("-t", "host", PLAIN_SHELL), far.environment) as terminal:
        terminal.expect(r"remote\$ $")
        relay.is_cut = True
        terminal.write("\r")
        terminal.expect(r"nothing heard for \d+ s; ~\. leaves\x07")
        terminal.write("~.")
        assert terminal.wait(5) == 255
        assert terminal.text.rindex(PUT_BACK_TITLE) > terminal.text.rindex("nothing heard")


def test_silence_is_not_told_into_a_pipe(far, relay):
    """Nor where this side has no terminal."""
    process = far.start("-tt", "host", "echo up; exec cat")
    assert process.stdout.readline().strip() == b"up"
    relay.is_cut = True
    process.stdin.write(b"x\n")
    process.stdin.flush()
    time.sleep(3.6)
    process.kill()
    stdout, stderr = process.communicate()
    assert b"\x1b" not in stdout + stderr


def test_a_silent_host_is_given_up(far, relay):
    relay.is_cut = True
    done = far("-o", "ConnectTimeout=1", "host", "true")
    assert done.status == 255
    assert "nothing answers at 127.0.0.1" in done.stderr


def test_control_c_while_connecting_ends_as_by_the_signal(far, relay):
    relay.is_cut = True
    process = far.start("host", "true", start_new_session=True)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert b"Traceback" not in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_in_a_session_end_it_in_good_order(qsh, daemon, number):
    process = qsh.start("host", "echo up; exec sleep 60", start_new_session=True)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(number)
    assert process.wait(10) == 255
    assert daemon.wait_for_log("Disconnected")


def test_no_command_waits_until_it_is_ended(own_daemon, new_client):
    daemon = own_daemon()
    process = new_client(daemon).start("-N", "host")
    assert daemon.wait_for_log("Accepted publickey", 20)
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    assert process.wait(10) == 255


def test_a_killed_worker_is_told_of(qsh, daemon):
    if not sys.platform.startswith("linux"):
        pytest.skip("finds the worker through /proc")
    process = qsh.start("-o", "ServerAliveInterval=1", "-o", "ResumeTimeout=0", "host",
                        "echo up; sleep 60")
    assert process.stdout.readline() == b"up\n"
    os.kill(worker_of(daemon.process.pid), signal.SIGKILL)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 255
    assert b"qsh: connection to 127.0.0.1" in stderr


def worker_of(listener):
    """The newest process called qshd-worker under the listener."""
    from qsh.process_tree import descendants

    def name(pid):
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()

    return max(pid for pid in descendants(listener) if name(pid) == "qshd-worker")


def test_a_full_disk_is_told(qsh):
    with open("/dev/full", "wb") as full:
        process = qsh.start("host", "echo x", stdout=full)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 255
    assert b"qsh: cannot write to standard output: No space left on device" in stderr


def test_closed_standard_files_are_no_trap(qsh):
    line = " ".join(qsh.command("host", "'cat; echo gone'")) + " <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], env=qsh.environment, timeout=30).returncode == 0
