"""Strangers, bad manners and bad luck: each ends itself, leaves a clear line, disturbs nobody."""

import asyncio
import os
import pwd
import signal
import socket
import subprocess
import time

import pytest

from qsh.errors import DisconnectReason, NetworkError
from qsh.quic import engine
from qsh.quic.engine import EngineConfig
from qsh.server.listener.cid_router import GREASE_VERSION, VERSION_1, initial_token, parse_header
from qsh.wire.events import LoginFailed, LoginSucceeded
from qsh.wire.userauth_messages import NoneRequest, PasswordRequest, UserauthRequest
from tests.integration.harness import USER
from tests.integration.raw_client import (
    IDLE,
    closed_by_server,
    connected,
    named,
    processes_of,
    wait_until,
)


@pytest.fixture
def stranger(daemon):
    """A UDP socket to the daemon, without manners."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((daemon.address, daemon.port))
        sock.settimeout(5)
        yield sock


def long_packet(version=VERSION_1, dcid=b"d" * 16, size=1200):
    head = b"\xc0" + version.to_bytes(4, "big") + bytes((len(dcid),)) + dcid + b"\x06client\x00"
    return head.ljust(size, b"\0")


def first_datagram(daemon):
    """A client's true Initial."""
    client = engine.load("aioquic").new_client(
        EngineConfig(), "", (daemon.address, daemon.port), time.monotonic()
    )
    transmit = client.datagrams_to_send(time.monotonic())[0]
    return transmit.data[: transmit.segment_size]


def is_silent(sock, seconds=0.5):
    sock.settimeout(seconds)
    try:
        sock.recv(2048)
    except TimeoutError:
        return True
    return False


def test_unknown_version_is_told_which_there_are(stranger):
    stranger.send(long_packet(version=0xFACEB00C))
    header = parse_header(answer := stranger.recv(2048))
    assert (header.version, header.destination, header.source) == (0, b"client", b"d" * 16)
    versions = {answer[at : at + 4] for at in range(header.end, len(answer), 4)}
    assert versions == {VERSION_1.to_bytes(4, "big"), GREASE_VERSION.to_bytes(4, "big")}


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x40" + os.urandom(1199),
        os.urandom(3),
        long_packet(dcid=b"short"),
        long_packet(dcid=b"d" * 15),
        long_packet(dcid=b"d" * 21),
        long_packet(size=600),
        long_packet(version=0xFACEB00C, size=600),
        long_packet(version=0),
    ],
    ids=["empty", "unknown-id", "three-bytes", "dcid-5", "dcid-15", "dcid-21", "small", "small-vn",
         "negotiation"],
)  # fmt: skip
def test_no_answer_and_no_process(stranger, daemon, packet):
    before = len(processes_of(daemon))
    stranger.send(packet)
    assert is_silent(stranger, 0.3)
    assert len(processes_of(daemon)) <= before


def test_an_initial_that_opens_with_no_key_costs_one_process_for_a_while(stranger, daemon, qsh):
    packet = first_datagram(daemon)
    for number in range(3):
        stranger.send(packet[: 100 + number] + os.urandom(1100 - number))
    assert qsh("host", "echo", "fine").stdout == b"fine\n"


def test_retry_when_many_knock(own_daemon, new_client):
    """From a share of MaxStartups on, everybody must show to receive at his address."""
    daemon = own_daemon("MaxStartups 4:100:8")
    client = new_client(daemon)
    knocking = []
    try:
        for _ in range(2):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect((daemon.address, daemon.port))
            sock.send(first_datagram(daemon))
            knocking.append(sock)
            assert wait_until(lambda: len(named(daemon, "qshd-worker")) == len(knocking))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((daemon.address, daemon.port))
            sock.settimeout(5)
            packet = first_datagram(daemon)
            sock.send(packet)
            answer = parse_header(sock.recv(2048))
            assert answer.kind == 3  # Retry
            assert answer.source != parse_header(packet).destination
        assert len(named(daemon, "qshd-worker")) == 2
        assert initial_token(packet, parse_header(packet)) == b""
        assert client.run("host", "echo", "fine").stdout == b"fine\n"
    finally:
        for sock in knocking:
            sock.close()


def test_max_startups(own_daemon):
    """Beyond the last number newcomers are dropped, with sshd's line."""
    daemon = own_daemon("MaxStartups 2:100:2")
    sockets = []
    try:
        for _ in range(3):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect((daemon.address, daemon.port))
            sock.settimeout(1)
            sockets.append(sock)
            begin_with_retry(daemon, sock)
        assert daemon.wait_for_log("drop connection #2 from [127.0.0.1]:")
        assert len(named(daemon, "qshd-worker")) <= 2
    finally:
        for sock in sockets:
            sock.close()


def begin_with_retry(daemon, sock):
    """Send an Initial, and again with the token if a Retry asks for it."""
    client = engine.load("aioquic").new_client(
        EngineConfig(), "", (daemon.address, daemon.port), time.monotonic()
    )
    for _ in range(2):
        for transmit in client.datagrams_to_send(time.monotonic()):
            sock.send(transmit.data[: transmit.segment_size])
        try:
            answer = sock.recv(2048)
        except TimeoutError:
            return
        if parse_header(answer).kind != 3:
            return
        remote = (daemon.address, daemon.port)
        client.receive_datagrams(answer, len(answer), remote, time.monotonic())


# ---------------------------------------------------------------- the login


def in_connection(daemon, key, scenario, **options):
    async def whole():
        async with connected(daemon, key, **options) as client:
            return await asyncio.wait_for(scenario(client), 60)

    return asyncio.run(whole())


def test_login_grace_time(own_daemon, new_client):
    daemon = own_daemon("LoginGraceTime 1")
    key = new_client(daemon).key

    async def scenario(client):
        return await closed_by_server(client.connection)

    closed = in_connection(daemon, key, scenario, login=False)
    assert (closed.by_application, closed.reason) == (True, "too late to log in")
    assert daemon.wait_for_log("Timeout before authentication for connection from 127.0.0.1 port")
    assert wait_until(lambda: set(processes_of(daemon).values()) <= IDLE)


def test_max_auth_tries(own_daemon, new_client):
    daemon = own_daemon("MaxAuthTries 2")
    key = new_client(daemon).key

    async def scenario(client):
        for _ in range(2):
            client.connection.login.request(USER, PasswordRequest("x"))
            await client.login_answer()

    with pytest.raises(NetworkError, match="Too many authentication failures"):
        in_connection(daemon, key, scenario, login=False)
    assert daemon.wait_for_log(
        f"maximum authentication attempts exceeded for {USER} from 127.0.0.1 port"
    )


def test_a_password_is_in_no_log(daemon, new_client):
    key = new_client(daemon).key

    async def scenario(client):
        client.connection.login.request(USER, PasswordRequest("hunter2-secret"))
        first = await client.login_answer()
        return first.methods, await client.log_in()

    methods, last = in_connection(daemon, key, scenario, login=False)
    assert "publickey" in methods
    assert isinstance(last, LoginSucceeded)
    assert "hunter2" not in daemon.log


def test_a_signature_for_another_connection_is_refused(daemon, new_client):
    key = new_client(daemon).key

    async def scenario(client):
        return await client.log_in(session=b"another connection's identifier".ljust(64, b"."))

    assert isinstance(in_connection(daemon, key, scenario, login=False), LoginFailed)
    assert daemon.wait_for_log(f"Failed publickey for {USER} from 127.0.0.1 port")


@pytest.mark.parametrize("name", ["no-such-user", "root\nAccepted publickey for root", "\x1b[2J"])
def test_unknown_and_odd_user_names(daemon, new_client, name):
    key = new_client(daemon).key

    async def scenario(client):
        return await client.log_in(user=name)

    assert isinstance(in_connection(daemon, key, scenario, login=False), LoginFailed)
    shown = name.replace("\n", "\\x0a").replace("\x1b", "\\x1b")
    assert daemon.wait_for_log(f"Invalid user {shown} from 127.0.0.1 port")
    assert "\n" + name.partition("\n")[2] + " from" not in daemon.log or "\n" not in name


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xff\xff\xff\x32",
        (1 << 20).to_bytes(4, "big") + b"\x32" + bytes(1000),
        b"\0\0\0\0",
        b"\0\0\0\x01\x63",
        b"\0\0\0\x05\x32\xff\xff\xff\xff",
    ],
    ids=["huge", "over-long", "empty", "unknown-number", "cut"],
)
def test_bad_messages_end_the_connection_with_a_reason(daemon, new_client, qsh, payload):
    key = new_client(daemon).key

    async def scenario(client):
        client.connection.engine.send_stream_data(0, payload)
        client.connection._driver.wake()
        return await closed_by_server(client.connection)

    closed = in_connection(daemon, key, scenario, login=False)
    assert closed.by_application
    assert closed.code == DisconnectReason.PROTOCOL_ERROR
    assert closed.reason
    assert daemon.wait_for_log("Disconnecting")
    assert "Traceback" not in daemon.log
    assert "internal error" not in daemon.log


def send_early(client, count, size):
    """Bytes without meaning on new streams."""
    transport = client.connection.engine
    for _ in range(count):
        transport.send_stream_data(transport.open_stream(), bytes(size))
    client.connection._driver.wake()


def test_what_comes_before_the_login_is_bounded(daemon, new_client, monkeypatch):
    """QUIC's own credit holds back the rest; who uses it all up locks himself out."""
    key = new_client(daemon).key
    # Probes for loopback's large datagrams are no credit's concern.
    monkeypatch.setattr("qsh.net.offload.largest_payload", lambda sock: 1452)

    async def scenario(client):
        send_early(client, 20, 50_000)
        await asyncio.sleep(0.5)
        assert not client.connection.is_over
        return client.connection.stats.bytes_sent

    assert in_connection(daemon, key, scenario, login=False) < 120_000


def test_what_comes_before_the_login_is_judged_after_it(daemon, new_client):
    key = new_client(daemon).key

    async def scenario(client):
        send_early(client, 3, 100)
        await asyncio.sleep(0.2)
        assert not client.connection.is_over
        client.send_login()
        return await closed_by_server(client.connection)

    closed = in_connection(daemon, key, scenario, login=False)
    assert closed.code == DisconnectReason.PROTOCOL_ERROR
    assert daemon.wait_for_log(f"Accepted publickey for {USER}")


def test_requests_ahead_of_their_answers(daemon, new_client):
    """Pipelined login requests are answered one by one, and bounded."""
    key = new_client(daemon).key

    async def scenario(client):
        from qsh.wire.codec import encode, encode_body

        body = encode(UserauthRequest(USER, "ssh-connection", "none", encode_body(NoneRequest())))
        framed = len(body).to_bytes(4, "big") + body
        client.connection.engine.send_stream_data(0, framed * 60)
        client.connection._driver.wake()
        return await closed_by_server(client.connection)

    assert in_connection(daemon, key, scenario, login=False).by_application


def test_a_peer_that_vanishes(own_daemon, new_client):
    daemon = own_daemon("ClientAliveInterval 1", "ClientAliveCountMax 2", "CommandTimeout 1")
    client = new_client(daemon)
    with client.start("host", "echo ready; exec sleep 300") as running:
        assert running.stdout.readline() == b"ready\n"
        assert wait_until(lambda: named(daemon, "sleep"))
        running.send_signal(signal.SIGSTOP)
        try:
            assert wait_until(lambda: not named(daemon, "sleep"), 30)
            assert daemon.wait_for_log(
                f"Timeout, client not responding from user {USER} 127.0.0.1 port"
            )
        finally:
            running.kill()
    assert wait_until(lambda: set(processes_of(daemon).values()) <= IDLE)


# ---------------------------------------------------------------- accounts


@pytest.fixture
def account():
    """Make a throw-away account: account("-s", "/no/such/shell")."""
    names = []

    def make(*options):
        names.append(f"qshbad{os.getpid()}x{len(names)}")
        subprocess.run(["useradd", "-M", *options, names[-1]], check=True, capture_output=True)
        return pwd.getpwnam(names[-1]).pw_name

    yield make
    for name in names:
        subprocess.run(["userdel", "-f", name], check=False, capture_output=True)


@pytest.mark.root
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-p", "*", "-s", "/no/such/shell"], "shell /no/such/shell does not exist"),
        (["-p", "*", "-s", "/etc/passwd"], "shell /etc/passwd is not executable"),
        (["-p", "!", "-s", "/bin/sh"], "account is locked"),
        (["-p", "*", "-s", "/bin/sh", "-e", "2001-01-01"], "has expired"),
    ],
    ids=["missing-shell", "no-shell", "locked", "expired"],
)
def test_accounts_that_nobody_may_use(daemon, new_client, account, options, reason):
    name = account(*options)
    key = new_client(daemon).key

    async def scenario(client):
        return await client.log_in(user=name)

    assert isinstance(in_connection(daemon, key, scenario, login=False), LoginFailed)
    assert daemon.wait_for_log(name)
    (line,) = [line for line in daemon.log.splitlines() if name in line and reason in line]
    assert line.startswith(("qshd: User ", "qshd: Account "))
    assert daemon.wait_for_log(f"Failed publickey for invalid user {name} from 127.0.0.1 port")
