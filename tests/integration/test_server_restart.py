"""Restarts of the daemon: SIGKILL, another in its place, SIGHUP. Who is connected loses nothing,
and may move afterwards."""

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import time

import pytest

from qsh.errors import NetworkError
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.start_messages import ExecRequest
from tests.integration.forward_peers import LOCALHOST, EchoServer, free_port, running
from tests.integration.harness import Client, public
from tests.integration.raw_client import connected, named, processes_of, wait_for, wait_until
from tests.integration.relay import Relay

pytestmark = pytest.mark.one_pair

MAX_STALL = 1.0
"""Seconds that a key may take while all this happens."""


def kill(daemon):
    daemon.process.kill()
    daemon.process.wait()


def start_again(daemon):
    daemon.requested_port = daemon.port
    daemon.start()


def hang_up(daemon):
    before = daemon.log.count("Server listening")
    daemon.process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: daemon.log.count("Server listening") > before)


def kill_and_start_again(daemon):
    kill(daemon)
    start_again(daemon)


RESTARTS = {"SIGKILL": kill_and_start_again, "SIGHUP": hang_up}


@pytest.fixture(params=RESTARTS)
def restart(request):
    return RESTARTS[request.param]


@pytest.fixture
def relay(daemon_of_own):
    relay = Relay(daemon_of_own.port)
    yield relay
    relay.close()


@pytest.fixture
def daemon_of_own(own_daemon):
    return own_daemon("ClientAliveInterval 20")  # whom a test leaves behind is not there for long


@pytest.fixture
def client(daemon_of_own, relay, engines, tmp_path):
    """A `qsh` whose address changes when `relay.move` says so."""
    daemon = daemon_of_own
    client = Client(tmp_path / "home", engines[0], LOCALHOST, relay.port)
    client.known_hosts.write_text(f"[{LOCALHOST}]:{relay.port} {public(daemon.host_key)}\n")
    daemon.authorize(public(client.key))
    return client


@contextlib.contextmanager
def cat(client):
    """A session that gives back each line."""
    with client.start("host", "exec cat") as process:
        echo(process, b"first\n")
        yield process
        process.stdin.close()
        assert process.wait(20) == 0


def echo(process, line=b"line\n"):
    """Seconds until it is back."""
    begin = time.monotonic()
    process.stdin.write(line)
    process.stdin.flush()
    assert process.stdout.readline() == line
    return time.monotonic() - begin


def test_typing_goes_on_and_the_client_may_move(daemon_of_own, client, relay, restart):
    with cat(client) as session:
        restart(daemon_of_own)
        assert echo(session) < MAX_STALL
        relay.move()
        assert echo(session) < MAX_STALL
        assert daemon_of_own.wait_for_log("has moved to")
        assert echo(session) < MAX_STALL


def test_typing_goes_on_without_any_listener(daemon_of_own, client, relay):
    with cat(client) as session:
        kill(daemon_of_own)
        for _ in range(5):
            assert echo(session) < MAX_STALL
        start_again(daemon_of_own)
        relay.move()
        assert echo(session) < MAX_STALL


def test_a_third_listener_finds_what_the_first_one_made(daemon_of_own, client, relay, restart):
    with cat(client) as session:
        for _ in range(3):
            restart(daemon_of_own)
            relay.move()
            assert echo(session) < MAX_STALL


def test_a_transfer_and_a_forward_go_on(daemon_of_own, new_client, restart):
    client = new_client(daemon_of_own)
    data = os.urandom(1 << 20) * 24
    port = free_port()
    with (
        EchoServer() as server,
        running(client, "-N", "-L", f"{port}:{LOCALHOST}:{server.port}", "host"),
        client.start("host", "sleep 0.3; sha256sum") as transfer,
    ):
        assert wait_until(lambda: can_connect(port))
        with socket.create_connection((LOCALHOST, port)) as application:
            application.settimeout(20)
            exchange(application)
            transfer.stdin.write(data[: len(data) // 2])
            restart(daemon_of_own)
            exchange(application)
            transfer.stdin.write(data[len(data) // 2 :])
            transfer.stdin.close()
            assert transfer.stdout.read().split()[0].decode() == hashlib.sha256(data).hexdigest()
            assert transfer.wait(20) == 0


def can_connect(port):
    with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, port), 1):
        return True
    return False


def exchange(application):
    application.sendall(b"hello")
    assert application.recv(5, socket.MSG_WAITALL) == b"hello"


def test_newcomers_come_in_afterwards(daemon_of_own, client, restart):
    restart(daemon_of_own)
    assert client.run("host", "echo fine").stdout == b"fine\n"


def test_sighup_keeps_the_process_and_reads_the_configuration(daemon_of_own, client):
    config = daemon_of_own.folder / "qshd_config"
    config.write_text(config.read_text() + "ForceCommand echo changed\n")
    before = set(processes_of(daemon_of_own))
    hang_up(daemon_of_own)
    assert client.run("host", "true").stdout == b"changed\n"
    assert daemon_of_own.process.poll() is None
    assert wait_until(lambda: not before & set(processes_of(daemon_of_own)))


def test_sighup_with_another_port_opens_that_one(own_daemon, new_client):
    daemon = own_daemon()
    other = free_port(socket.SOCK_DGRAM)
    config = daemon.folder / "qshd_config"
    config.write_text(config.read_text().replace(
        f"ListenAddress {LOCALHOST}", f"ListenAddress {LOCALHOST}:{other}"
    ))  # fmt: skip
    hang_up(daemon)
    daemon.port = other
    assert new_client(daemon).run("host", "echo fine").stdout == b"fine\n"


def test_who_talks_to_a_dead_worker_of_an_earlier_listener_is_told(daemon_of_own, new_client):
    """By a stateless reset: otherwise it would wait for the idle time-out."""
    daemon = daemon_of_own
    key = new_client(daemon).key

    async def scenario():
        async with connected(daemon, key) as raw:
            channel = await raw.session()
            assert await channel.request(ExecRequest(b"exec sleep 60"))
            (worker,) = named(daemon, "qshd-worker")
            kill_and_start_again(daemon)
            os.kill(worker, signal.SIGKILL)
            assert await wait_for(lambda: not os.path.exists(f"/proc/{worker}"))
            with contextlib.suppress(NetworkError):  # it may be faster than we are
                raw.connection.open_channel(SessionOpen())
            closed = await asyncio.wait_for(raw.connection.wait_closed(), 20)
            assert "reset" in closed.reason

    asyncio.run(scenario())


def test_what_died_meanwhile_is_cleared_away(daemon_of_own, client):
    folder = daemon_of_own.folder / "run"
    with client.start("host", "exec cat") as process:
        echo(process)
        (monitor,) = named(daemon_of_own, "qshd-monitor")
        (door,) = (folder / "connections").glob(f"*.{monitor}")
        kill(daemon_of_own)
        os.kill(monitor, signal.SIGKILL)
        start_again(daemon_of_own)
        assert not door.exists()
        process.kill()


def test_reloads_leave_no_descriptor_behind(daemon_of_own, client):
    """What an earlier listener took over by SCM_RIGHTS is not the next one's."""

    def taken_over():
        return daemon_of_own.log.count("took over connection")

    def descriptors():
        return len(os.listdir(f"/proc/{daemon_of_own.process.pid}/fd"))

    with cat(client) as session:
        counts = []
        for _ in range(4):
            before = taken_over()
            hang_up(daemon_of_own)
            assert wait_until(lambda before=before: taken_over() > before)
            assert echo(session) < MAX_STALL
            counts.append(descriptors())
    assert counts[-1] == counts[0], counts
