"""Sharing one connection: ControlMaster, ControlPath, ControlPersist, -M, -S, -O; also with ssh."""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
import uuid
from pathlib import Path

import pytest

from tests.integration.forward_peers import EchoServer, connect, free_port
from tests.integration.harness import process_is_gone

pytestmark = pytest.mark.one_pair
PATIENCE = 20.0
needs_ssh = pytest.mark.skipif(not shutil.which("ssh"), reason="needs OpenSSH's client")


@pytest.fixture
def path():
    """A short path: a socket's name is bounded."""
    path = Path("/tmp") / f"qsh-mux-{uuid.uuid4().hex[:12]}"
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def shared(qsh, path):
    """A qsh with a ControlPath and a master that persists."""
    qsh.configure(f"ControlPath {path}", "ControlPersist yes")
    assert qsh("-M", "host", "true").status == 0
    yield qsh
    qsh("-O", "exit", "host")


def pid_of(qsh):
    done = qsh("-O", "check", "host")
    assert done.status == 0, done.stderr
    return int(re.search(r"Master running \(pid=(\d+)\)", done.stderr).group(1))


def read_exactly(sock, count):
    data = bytearray()
    while len(data) < count and (more := sock.recv(65536)):
        data += more
    return bytes(data)


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


class TestMaster:
    def test_the_first_command_has_its_output_and_its_status(self, qsh, path):
        qsh.configure(f"ControlPath {path}", "ControlMaster auto", "ControlPersist yes")
        done = qsh("host", "cat; echo err >&2; exit 7", stdin=b"hello")
        assert (done.status, done.stdout) == (7, b"hello")
        assert "err" in done.stderr
        pid = pid_of(qsh)
        assert qsh("-O", "exit", "host").stderr.strip() == "Exit request sent."
        assert process_is_gone(pid)
        assert not path.exists()

    def test_later_commands_ride_on_its_connection(self, shared, daemon):
        def logins():
            return daemon.log.count("Accepted publickey")

        before = logins()
        done = shared("host", "cat; exit 3", stdin=b"x" * 300_000)
        assert (done.status, done.stdout) == (3, b"x" * 300_000)
        assert logins() == before

    def test_nobody_else_can_open_its_socket(self, shared, path):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600

    def test_a_stale_socket_is_replaced(self, qsh, path):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        qsh.configure(f"ControlPath {path}", "ControlMaster auto", "ControlPersist 60")
        assert qsh("host", "true").status == 0
        assert pid_of(qsh)
        qsh("-O", "exit", "host")

    def test_it_ends_when_nobody_has_come_for_a_while(self, qsh, path):
        qsh.configure(f"ControlPath {path}", "ControlMaster auto", "ControlPersist 1")
        qsh("host", "true")
        pid = pid_of(qsh)
        assert process_is_gone(pid)
        assert not path.exists()

    def test_stop_ends_it_once_its_last_session_is_over(self, shared, path):
        pid = pid_of(shared)
        with shared.start("host", "read x; echo $x") as rider:
            assert wait_until(lambda: b"session" in shared("-O", "channels", "host").stdout)
            assert shared("-O", "stop", "host").stderr.strip() == "Stop listening request sent."
            assert not path.exists()
            assert rider.communicate(b"still here\n")[0] == b"still here\n"
        assert process_is_gone(pid)

    def test_without_persist_it_waits_for_those_who_ride(self, qsh, path):
        qsh.configure(f"ControlPath {path}")
        with qsh.start("-M", "host", "read x") as master:
            assert wait_until(path.exists)
            with qsh.start("host", "read x; echo $x") as rider:
                assert wait_until(
                    lambda: qsh("-O", "channels", "host").stdout.count(b"session") == 2
                )
                master.stdin.close()
                assert rider.communicate(b"1\n")[0] == b"1\n"
            assert master.wait(PATIENCE) == 1
        assert not path.exists()

    def test_a_client_that_dies_takes_its_session_along(self, shared, tmp_path):
        mark = tmp_path / "pid"
        with shared.start("host", f"echo $$ > {mark}; exec sleep 100") as rider:
            assert wait_until(lambda: mark.exists() and mark.read_text())
            rider.kill()
        assert process_is_gone(int(mark.read_text()))
        assert shared("host", "true").status == 0

    def test_a_stopped_reader_holds_up_nobody(self, shared):
        with shared.start("host", "cat /dev/zero") as glutton:
            select.select([glutton.stdout], [], [], PATIENCE)
            time.sleep(0.3)  # its pipe and its window are full now
            assert shared("host", "echo free").stdout == b"free\n"
            glutton.kill()

    def test_a_master_that_is_killed_ends_its_riders(self, shared, path):
        with shared.start("host", "echo ready; sleep 100") as rider:
            assert rider.stdout.readline() == b"ready\n"
            os.kill(pid_of(shared), signal.SIGKILL)
            assert rider.wait(PATIENCE) == 255


class TestCommands:
    def test_without_a_master_they_fail_as_sshs_do(self, qsh, path):
        qsh.configure(f"ControlPath {path}")
        done = qsh("-O", "check", "host")
        assert done.status == 255
        assert f"Control socket connect({path}): No such file or directory" in done.stderr

    def test_an_unknown_one_is_named(self, shared):
        done = shared("-O", "dance", "host")
        assert done.status == 255
        assert "dance" in done.stderr

    def test_conninfo_and_channels(self, shared):
        assert b"protocol qsh/1" in shared("-O", "conninfo", "host").stdout
        with shared.start("host", "read x"):
            assert wait_until(lambda: b"session" in shared("-O", "channels", "host").stdout)


    def test_proxy_runs_a_command_whose_forwards_end_with_it(self, shared, daemon):
        port, logins = free_port(), daemon.log.count("Accepted publickey")
        with EchoServer() as echo:
            spec = f"{port}:127.0.0.1:{echo.port}"
            with shared.start("-O", "proxy", "-L", spec, "host", "echo up; cat; exit 6") as rider:
                assert rider.stdout.readline() == b"up\n"
                with connect(port) as sock:
                    sock.sendall(b"ping")
                    assert sock.recv(4) == b"ping"
                assert rider.communicate(b"more")[0] == b"more"
                assert rider.returncode == 6
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
        assert daemon.log.count("Accepted publickey") == logins

    def test_proxy_needs_a_master(self, qsh, path):
        qsh.configure(f"ControlPath {path}", "ControlMaster auto")
        done = qsh("-O", "proxy", "host", "true")
        assert done.status == 255
        assert "Control socket connect" in done.stderr


class TestForwards:
    def test_they_come_and_go(self, shared):
        port = free_port()
        with EchoServer() as echo:
            spec = f"{port}:127.0.0.1:{echo.port}"
            assert shared("-O", "forward", "-L", spec, "host").status == 0
            with connect(port) as sock:
                sock.sendall(b"ping")
                assert sock.recv(4) == b"ping"
            assert shared("-O", "cancel", "-L", spec, "host").status == 0
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))

    def test_a_port_that_the_server_chose_is_printed(self, shared):
        with EchoServer() as echo:
            spec = f"0:127.0.0.1:{echo.port}"
            done = shared("-O", "forward", "-R", spec, "host")
            assert done.status == 0, done.stderr
            with connect(int(done.stdout)) as sock:
                sock.sendall(b"ping")
                assert sock.recv(4) == b"ping"

    def test_one_that_cannot_be_is_told(self, shared):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = shared("-O", "forward", "-L", f"127.0.0.1:{port}:127.0.0.1:1", "host")
        assert done.status == 255
        assert str(port) in done.stderr

    def test_those_of_a_rider_are_the_masters(self, shared):
        port = free_port()
        with EchoServer() as echo:
            spec = f"{port}:127.0.0.1:{echo.port}"
            assert shared("-L", spec, "host", "echo x").stdout == b"x\n"
            connect(port).close()


class TestTerminal:
    def test_it_has_the_windows_size_and_learns_of_a_new_one(self, shared):
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        subprocess.run(["stty", "rows", "33", "cols", "99"], stdin=theirs, check=True)
        command = "stty size; trap 'stty size' WINCH; while :; do sleep 0.1; done"
        with shared.start("-tt", "host", command, stdin=theirs, stdout=theirs) as rider:
            seen = b""

            def has(text):
                nonlocal seen
                if select.select([ours], [], [], 0.1)[0]:
                    seen += os.read(ours, 4096)
                return text in seen

            assert wait_until(lambda: has(b"33 99"))
            subprocess.run(["stty", "rows", "44", "cols", "88"], stdin=theirs, check=True)
            rider.send_signal(signal.SIGWINCH)
            assert wait_until(lambda: has(b"44 88"))
            os.write(ours, b"\r~.")
            assert rider.wait(PATIENCE) == 255
        assert shared("host", "true").status == 0  # the others ride on
        os.close(ours)
        os.close(theirs)


@needs_ssh
class TestWithSsh:
    def test_ssh_rides_on_our_master(self, shared, path):
        ssh = ["ssh", "-F", "/dev/null", "-S", str(path), "any"]
        done = subprocess.run([*ssh, "cat; exit 5"], input=b"by ssh", capture_output=True,
                              timeout=PATIENCE, check=False)  # fmt: skip
        assert (done.returncode, done.stdout) == (5, b"by ssh")
        done = subprocess.run([*ssh[:-1], "-O", "check", "any"], capture_output=True,
                              timeout=PATIENCE, check=False)  # fmt: skip
        assert b"Master running" in done.stderr

    def test_stdio_forwards_both_ways_of_calling(self, shared, path):
        with EchoServer() as echo:
            target = f"127.0.0.1:{echo.port}"
            assert shared("-W", target, "host", stdin=b"ping").stdout == b"ping"
            done = subprocess.run(["ssh", "-F", "/dev/null", "-S", str(path), "-W", target, "any"],
                                  input=b"pong", capture_output=True, timeout=PATIENCE,
                                  check=False)  # fmt: skip
            assert done.stdout == b"pong"

    def test_ssh_speaks_its_own_protocol_through_our_master(self, shared, path, daemon):
        logins = daemon.log.count("Accepted publickey")
        ssh = ["ssh", "-F", "/dev/null", "-S", str(path), "-O", "proxy"]
        data = os.urandom(3_000_000)
        done = subprocess.run([*ssh, "any", "cat; echo err >&2; exit 5"], input=data,
                              capture_output=True, timeout=2 * PATIENCE, check=False)  # fmt: skip
        assert (done.returncode, done.stdout) == (5, data), done.stderr
        assert b"err" in done.stderr
        port = free_port()
        with EchoServer() as echo, subprocess.Popen(
            [*ssh, "-L", f"{port}:127.0.0.1:{echo.port}", "any", "echo up; cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as rider:  # fmt: skip
            assert rider.stdout.readline() == b"up\n"
            with connect(port) as sock:
                sock.sendall(b"ping")
                assert sock.recv(4) == b"ping"
            rider.communicate()
        assert daemon.log.count("Accepted publickey") == logins

    def test_ssh_listens_at_the_server_through_our_master(self, shared, path, daemon):
        """Each such client has its own connections; what listens ends with it."""
        logins = daemon.log.count("Accepted publickey")
        ssh = ["ssh", "-F", "/dev/null", "-S", str(path), "-O", "proxy"]
        fixed = free_port()
        with EchoServer() as echo, subprocess.Popen(
            [*ssh, "-R", f"{fixed}:127.0.0.1:{echo.port}", "-R", f"0:127.0.0.1:{echo.port}",
             "any", "echo up; cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as rider:  # fmt: skip
            assert rider.stdout.readline() == b"up\n"
            told = rider.stderr.readline()
            chosen = int(re.search(rb"Allocated port (\d+) for remote forward", told).group(1))
            data = os.urandom(3_000_000)
            for port in (fixed, chosen):
                with connect(port) as sock, connect(port) as other:
                    other.sendall(b"ping")
                    assert other.recv(4) == b"ping"
                    threading.Thread(target=sock.sendall, args=(data,)).start()
                    assert read_exactly(sock, len(data)) == data
            again = subprocess.run(
                [*ssh, "-oExitOnForwardFailure=yes", "-R", f"{fixed}:127.0.0.1:1", "any", "true"],
                capture_output=True, timeout=PATIENCE, check=False)  # fmt: skip
            assert again.returncode == 255
            assert b"remote port forwarding failed" in again.stderr
            with connect(fixed) as sock:
                sock.sendall(b"mine")
                assert sock.recv(4) == b"mine"
            rider.communicate()
        assert wait_until(lambda: refuses(fixed))
        assert refuses(chosen)
        assert daemon.log.count("Accepted publickey") == logins

    def test_a_target_of_such_a_client_that_is_not_there(self, shared, path):
        ssh = ["ssh", "-F", "/dev/null", "-S", str(path), "-O", "proxy"]
        port, nobody = free_port(), free_port()
        with subprocess.Popen(
            [*ssh, "-R", f"{port}:127.0.0.1:{nobody}", "any", "echo up; cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as rider:  # fmt: skip
            assert rider.stdout.readline() == b"up\n"
            with connect(port) as sock, contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
            assert rider.communicate(b"still")[0] == b"still"
            assert rider.returncode == 0
