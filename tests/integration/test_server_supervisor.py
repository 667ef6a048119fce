"""qshd under a supervisor such as systemd: readiness, passed sockets, two services, PidFile."""

import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.integration.harness import QSHD, Daemon
from tests.integration.raw_client import named, wait_until

pytestmark = pytest.mark.one_pair


class Supervisor:
    """Receives what sd_notify(3) sends."""

    def __init__(self, path):
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(20)

    def next(self):
        return self._socket.recv(4096).decode().split("\n")


@pytest.fixture
def supervisor(tmp_path):
    return Supervisor(tmp_path / "notify")


@pytest.fixture
def daemon_with(engines, tmp_path):
    """A daemon with a program and environment of its own, stopped after the test."""
    started = []

    def start(program=QSHD, settings=(), **environment):
        daemon = Daemon(tmp_path / "qshd", engines[1], settings, program=program)
        daemon.environment |= environment
        started.append(daemon.start())
        return daemon

    yield start
    for daemon in started:
        daemon.stop()


def test_it_tells_when_it_is_ready_reloads_and_ends(daemon_with, supervisor):
    daemon = daemon_with(NOTIFY_SOCKET=supervisor.path)
    main_pid = f"MAINPID={daemon.process.pid}"
    assert supervisor.next() == ["READY=1", main_pid]
    daemon.process.send_signal(signal.SIGHUP)
    reloading, when = supervisor.next()
    assert reloading == "RELOADING=1"
    assert when.startswith("MONOTONIC_USEC=")
    assert supervisor.next() == ["READY=1", main_pid]
    daemon.process.terminate()
    assert supervisor.next() == ["STOPPING=1"]


PASSING = """
import os, socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
sock.bind(("127.0.0.1", 0))
os.dup2(int(sys.argv[sys.argv.index("--ready-fd") + 1]), 9)
sys.argv[sys.argv.index("--ready-fd") + 1] = "9"
os.set_inheritable(9, True)
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="qshd")
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A supervisor that passes a socket in its place."""


def test_a_passed_socket_is_used_and_kept(daemon_with, new_client):
    daemon = daemon_with((sys.executable, "-c", PASSING, *QSHD))
    client = new_client(daemon)
    assert client.run("host", "env").stdout.count(b"LISTEN_") == 0
    daemon.process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: daemon.log.count("Server listening") == 2)
    assert client.run("host", "echo fine").stdout == b"fine\n"


def test_the_pid_file(daemon_with, tmp_path):
    path = tmp_path / "qshd.pid"
    daemon = daemon_with(settings=[f"PidFile {path}"])
    assert int(path.read_text()) == daemon.process.pid
    daemon.stop()
    assert not path.exists()


class Service:
    """`qshd --launcher`."""

    def __init__(self, folder, supervisor, daemon_environment, config):
        self._command = [*QSHD, "--launcher", "-D", "-e", "-f", config, "--run-dir", folder]
        self._environment = daemon_environment | {"NOTIFY_SOCKET": supervisor.path}
        self._supervisor = supervisor
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, env=self._environment, cwd="/")
        assert self._supervisor.next()[0] == "READY=1"

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def two_services(engines, tmp_path, supervisor):
    """A daemon whose sessions are started by a service of its own: (daemon, service)."""
    run = str(tmp_path / "run")
    program = (*QSHD, "--use-launcher", "--run-dir", run)
    daemon = Daemon(tmp_path / "qshd", engines[1], program=program)
    config = daemon.folder / "launcher_config"
    config.write_text("".join(f"{line}\n" for line in daemon._config_lines()))
    service = Service(run, supervisor, daemon.environment, config)
    daemon.start()
    yield daemon, service
    daemon.stop()
    service.kill()


def echo(process):
    process.stdin.write(b"line\n")
    process.stdin.flush()
    return process.stdout.readline() == b"line\n"


def test_two_services(two_services, new_client):
    """The listener's has workers and no host keys, the other one what users run; each may be
    restarted, and sessions go on."""
    daemon, service = two_services
    client = new_client(daemon)
    with client.start("host", "exec cat") as session:
        assert echo(session)
        assert named(daemon, "qshd-worker")
        assert not named(daemon, "qshd-keys") + named(daemon, "qshd-monitor") + named(daemon, "cat")
        service.kill()
        assert echo(session)
        service.start()
        assert client.run("host", "echo fine").stdout == b"fine\n"
        daemon.process.kill()
        daemon.process.wait()
        daemon.requested_port = daemon.port
        daemon.start()
        assert echo(session)
        assert client.run("host", "echo fine").stdout == b"fine\n"
        service.process.send_signal(signal.SIGHUP)
        assert service._supervisor.next()[0] == "RELOADING=1"
        assert service._supervisor.next()[0] == "READY=1"
        assert client.run("host", "echo fine").stdout == b"fine\n"
        assert echo(session)
        session.stdin.close()
        assert session.wait(20) == 0


def test_a_listener_waits_for_its_launcher(two_services, new_client):
    """Both services are restarted at once, and the listener is first."""
    daemon, service = two_services
    service.kill()
    daemon.process.kill()
    daemon.process.wait()
    daemon.requested_port = daemon.port
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(daemon.start)
        assert not wait([started], 1.0).done
        service.start()
        started.result(30)
    assert new_client(daemon).run("host", "echo fine").stdout == b"fine\n"
