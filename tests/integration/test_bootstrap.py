"""`qsh --bootstrap` and `FallbackToSsh bootstrap`: sshd is there, qshd is not, QUIC works."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qsh.process_tree import descendants
from tests.integration.forward_peers import free_port, wait_for_port
from tests.integration.harness import USER, Client, make_key, process_is_gone, public
from tests.pty_process import PtyProcess
from tests.sources import ROOT

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(not os.access(SSHD, os.X_OK), reason="needs OpenSSH's sshd")
PATIENCE = 30.0
PAYLOAD = bytes(range(256)) * 8000


class Host:
    """A real sshd, and what it leaves on its machine: files in a folder of its own."""

    def __init__(self, folder, client_key):
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.port, self.temporary = free_port(), folder / "tmp"
        self.temporary.mkdir(parents=True)
        key = make_key(folder / "host_key")
        self.known_hosts_line = f"[127.0.0.1]:{self.port} {public(key)}"
        (folder / "authorized_keys").write_text(public(client_key) + "\n")
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {key}\nStrictModes no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nUsePAM no\nPidFile none\n"
            f"PermitRootLogin yes\nAllowUsers {USER}\nSetEnv TMPDIR={self.temporary} SHLVL=1\n"
        )
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"],
                                            stderr=log)  # fmt: skip
        wait_for_port(self.port)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def processes(self):
        """Those of bootstrapped servers, known by their folder of temporary files."""
        mark, found = f"TMPDIR={self.temporary}".encode(), set()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:
                continue
        return found

    def has_nothing_left(self):
        end = time.monotonic() + PATIENCE
        while (left := self.processes()) or list(self.temporary.iterdir()):
            if time.monotonic() > end:
                print(left, list(self.temporary.iterdir()))
                return False
            time.sleep(0.05)
        return True


@pytest.fixture
def host(engines, tmp_path):
    client = Client(tmp_path / "home", engines[0], "127.0.0.1", 22)
    host = Host(tmp_path / "sshd", client.key)
    (tmp_path / "home" / "tmp").mkdir()
    client.environment["TMPDIR"] = str(tmp_path / "home" / "tmp")
    client.port = host.port
    client.known_hosts.write_text(host.known_hosts_line + "\n")
    client.configure(
        f"BootstrapCommand env PYTHONPATH={ROOT} QSH_ENGINE={engines[1]} {sys.executable}"
        " -m qsh.server"
    )
    host.client = client
    yield host
    host.stop()
    for process in host.processes():
        with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.kill(process, signal.SIGKILL)


def nothing_left_here(client):
    end = time.monotonic() + PATIENCE
    while list((client.folder / "tmp").iterdir()):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_command_by_quic_and_nothing_stays_behind(host):
    done = host.client("-v", "--bootstrap", "host", "cat; echo $SSH_CONNECTION >&2; exit 7",
                       stdin=PAYLOAD)  # fmt: skip
    assert (done.status, done.stdout) == (7, PAYLOAD), done.stderr
    assert "TLS key exchange" in done.stderr
    assert host.has_nothing_left()
    assert nothing_left_here(host.client)


@pytest.mark.one_pair
class TestBootstrap:
    def test_the_port_is_of_the_range(self, host):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("", 0))
            port = taken.getsockname()[1]
            done = host.client("--bootstrap", "-o", f"BootstrapPorts={port}", "host", "true")
            assert done.status == 255
            assert f"no UDP port from {port} to {port} is free" in done.stderr
        done = host.client("--bootstrap", "-o", f"BootstrapPorts={port}", "host",
                           "echo ${SSH_CONNECTION##* }")  # fmt: skip
        assert done.stdout.decode().strip() == str(port), done.stderr

    def test_a_host_without_qsh_is_named(self, host):
        done = host.client("-o", "BootstrapCommand=qshd-that-is-not-there", "--bootstrap", "host")
        assert done.status == 255
        assert "qsh: qshd is not installed at host" in done.stderr
        assert "BootstrapCommand" in done.stderr
        assert nothing_left_here(host.client)

    def test_a_login_that_ssh_refuses_starts_nothing(self, host):
        host.client.known_hosts.write_text("")
        done = host.client("-o", "BatchMode=yes", "--bootstrap", "host", "true")
        assert done.status == 255
        assert "Host key verification failed" in done.stderr
        assert not host.processes()
        assert nothing_left_here(host.client)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_a_client_that_is_killed_leaves_nothing(self, host, number):
        with host.client.start("--bootstrap", "host", "echo up; sleep 600") as process:
            assert process.stdout.readline() == b"up\n"
            sleeping = descendants(process.pid) | host.processes()
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
        assert host.has_nothing_left()
        assert nothing_left_here(host.client)
        assert all(process_is_gone(pid) for pid in sleeping)

    def test_the_session_needs_ssh_no_more(self, host):
        with host.client.start("--bootstrap", "host", "echo up; cat") as process:
            assert process.stdout.readline() == b"up\n"
            host.stop()
            stdout, _ = process.communicate(b"still there\n", timeout=PATIENCE)
        assert stdout == b"still there\n"
        assert host.has_nothing_left()

    def test_a_start_that_is_broken_off_leaves_nothing(self, host, tmp_path):
        """ssh's connection ends before the answer has come."""
        slow = tmp_path / "slow"
        slow.write_text("#!/bin/sh\nsleep 2; exec \"$@\"\n")
        slow.chmod(0o755)
        command = host.client.config.read_text().split("BootstrapCommand env ")[1].split("\n")[0]
        with host.client.start("-o", f"BootstrapCommand={slow} env {command}", "--bootstrap",
                               "host", "true") as process:  # fmt: skip
            end = time.monotonic() + PATIENCE
            while not host.processes() and time.monotonic() < end:
                time.sleep(0.02)
            process.kill()
            process.communicate()
        assert host.has_nothing_left()
        assert nothing_left_here(host.client)

    def test_noise_of_start_up_files_does_no_harm(self, host, tmp_path):
        script = tmp_path / "noisy"
        command = host.client.config.read_text().split("BootstrapCommand ")[1].split("\n")[0]
        script.write_text(f'#!/bin/sh\nprintf "Welcome!\\nno newline"\nexec {command} "$@"\n')
        script.chmod(0o755)
        done = host.client("-o", f"BootstrapCommand={script}", "--bootstrap", "host", "echo x")
        assert done.stdout == b"x\n", done.stderr

    def test_the_key_is_on_no_command_line(self, host):
        with host.client.start("--bootstrap", "host", "echo up; cat") as process:
            assert process.stdout.readline() == b"up\n"
            for pid in host.processes() | descendants(process.pid):
                assert b"AAAA" not in Path(f"/proc/{pid}/cmdline").read_bytes()
            process.communicate(timeout=PATIENCE)

    def test_in_the_background_it_stays_until_the_end(self, host):
        port = free_port()
        done = host.client("--bootstrap", "-f", "-N", "-L", f"{port}:127.0.0.1:{host.port}",
                           "host", timeout=PATIENCE)  # fmt: skip
        assert done.status == 0, done.stderr
        with socket.create_connection(("127.0.0.1", port)) as sock:
            assert sock.recv(4) == b"SSH-"
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and f"-L\0{port}:".encode() in command_line(entry):
                os.kill(int(entry.name), signal.SIGTERM)
        assert host.has_nothing_left()
        assert nothing_left_here(host.client)

    def test_sessions_by_name_are_refused(self, host):
        done = host.client("--bootstrap", "--list", "host")
        assert done.status == 255
        assert "for this visit only" in done.stderr

    def test_a_session_is_not_left_that_nobody_could_find_again(self, host):
        words = host.client.command("--bootstrap", "-tt", "host", "echo up; cat; exit 5")
        with PtyProcess(words, host.client.environment) as session:
            session.expect("up", 40)
            session.write("\r~d")
            session.expect("for this visit only")
            session.write("\r\x04")
            assert session.wait() == 5
        assert host.has_nothing_left()


def command_line(entry):
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.one_pair
class TestFallback:
    def test_where_no_qshd_answers_one_is_started(self, host):
        options = ("-o", "FallbackToSsh=bootstrap", "-o", "TcpPort=none")
        for _ in range(2):  # the second time it is known
            done = host.client("-v", *options, "host", "echo by QUIC")
            assert done.stdout == b"by QUIC\n", done.stderr
            assert "TLS key exchange" in done.stderr
        assert "a little while ago" not in done.stderr
        assert host.has_nothing_left()
