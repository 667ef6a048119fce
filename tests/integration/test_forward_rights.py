"""What may be forwarded: qshd_config and authorized_keys as an administrator writes them."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.forward_peers import (
    LOCALHOST,
    EchoServer,
    connect,
    exchange,
    free_port,
    running,
)
from tests.integration.harness import public

pytestmark = pytest.mark.one_pair


@pytest.fixture(scope="module")
def echo():
    with EchoServer() as server:
        yield server


def opens(qsh, port):
    """Whether a connection to the port goes through."""
    near = free_port()
    with running(qsh, "-N", "-L", f"{near}:{LOCALHOST}:{port}", "host") as process:
        try:
            return exchange(near, b"x") == b"x"
        except ConnectionError:
            assert b"administratively prohibited" in process.stderr.readline()
            return False


def listens(qsh, spec):
    """Whether the server listens as asked."""
    done = qsh("-o", "ExitOnForwardFailure=yes", "-R", f"{spec}:{LOCALHOST}:1", "host", "sleep 1")
    assert done.status in (0, 255), done.stderr
    return done.status == 0


@pytest.mark.parametrize(
    ("lines", "local", "remote"),
    [
        (["AllowTcpForwarding no"], False, False),
        (["AllowTcpForwarding local"], True, False),
        (["AllowTcpForwarding remote"], False, True),
        (["DisableForwarding yes"], False, False),
        (["PermitOpen none", "PermitListen none"], False, False),
        (["PermitOpen web:80", "PermitListen 1"], False, False),
        (["PermitOpen 127.0.0.1:*", "PermitListen localhost:*"], True, True),
    ],
)  # fmt: skip
def test_the_administrators_rules(own_daemon, new_client, echo, lines, local, remote):
    qsh = new_client(own_daemon(*lines))
    assert opens(qsh, echo.port) is local
    assert listens(qsh, free_port()) is remote


def test_a_match_block_decides_for_some(own_daemon, new_client, echo, tmp_path):
    block = tmp_path / "block"
    block.write_text("Match Address 127.0.0.0/8\nAllowTcpForwarding remote\n")
    qsh = new_client(own_daemon("AllowTcpForwarding local", f"Include {block}"))
    assert not opens(qsh, echo.port)
    assert listens(qsh, free_port())


@pytest.mark.parametrize(
    ("options", "local", "remote"),
    [
        ("restrict", False, False),
        ("restrict,port-forwarding", True, True),
        ("no-port-forwarding", False, False),
        ('permitopen="127.0.0.1:*"', True, True),
        ('permitopen="127.0.0.1:1",permitlisten="1"', False, False),
        ('permitopen="localhost:*"', False, True),
    ],
)
def test_the_keys_options(qsh, daemon, echo, options, local, remote):
    daemon.authorize(f"{options} {public(qsh.key)}")
    assert opens(qsh, echo.port) is local
    assert listens(qsh, free_port()) is remote


def test_neither_can_widen_the_other(own_daemon, new_client, echo):
    daemon = own_daemon("PermitOpen 127.0.0.1:1")
    qsh = new_client(daemon)
    daemon.authorize(f'permitopen="127.0.0.1:{echo.port}" {public(qsh.key)}')
    assert not opens(qsh, echo.port)
    assert not opens(qsh, 1)


def test_udp_goes_by_the_rules_of_tcp(qsh, daemon):
    daemon.authorize(f"no-port-forwarding {public(qsh.key)}")
    done = qsh("-o", "ExitOnForwardFailure=yes", "-R", f"udp/0:{LOCALHOST}:1", "host", "true")
    assert done.status == 255


@pytest.mark.parametrize(
    ("gateway", "asked", "where"),
    [("no", "*", LOCALHOST), ("yes", "localhost", "0.0.0.0"), ("clientspecified", "*", "0.0.0.0"),
     ("clientspecified", "localhost", LOCALHOST), ("clientspecified", "127.0.0.2", "127.0.0.2")],
)  # fmt: skip
def test_where_the_server_listens(own_daemon, new_client, gateway, asked, where):
    qsh, port = new_client(own_daemon(f"GatewayPorts {gateway}")), free_port()
    done = qsh("-R", f"{asked}:{port}:h:1", "host", "cat /proc/net/tcp")
    address = socket.inet_aton(where)[::-1].hex().upper()
    assert f"{address}:{port:04X} 00000000:0000 0A" in done.stdout.decode()


def test_ports_below_1024_are_roots(qsh):
    assert listens(qsh, 1) is (os.geteuid() == 0)


class TestUnixSockets:
    def test_to_one_from_one(self, qsh, tmp_path):
        near, far = Path(f"/tmp/qsh-near-{os.getpid()}"), Path(f"/tmp/qsh-far-{os.getpid()}")
        far.unlink(missing_ok=True)
        with EchoServer(far), running(qsh, "-N", "-L", f"{near}:{far}", "host"):
            assert through(near) == b"hello"
            assert near.stat().st_mode & 0o777 == 0o600
        far.unlink()
        assert not near.exists()  # it goes with the forward

    def test_a_remote_one_is_the_users_with_the_mask_of_the_server(self, own_daemon, new_client):
        daemon = own_daemon("StreamLocalBindMask 0117")
        qsh, path = new_client(daemon), Path(f"/tmp/qsh-remote-{os.getpid()}")
        with EchoServer() as echo:
            with running(qsh, "-N", "-R", f"{path}:{LOCALHOST}:{echo.port}", "host"):
                assert through(path) == b"hello"
                status = path.stat()
                assert (status.st_uid, status.st_mode & 0o777) == (os.getuid(), 0o660)
            wait_until(lambda: not path.exists())

    def test_what_is_in_the_way_stays_or_gives_way(self, own_daemon, new_client):
        path = Path(f"/tmp/qsh-taken-{os.getpid()}")
        for keyword, status in (("no", 255), ("yes", 0)):
            path.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as taken:
                taken.bind(str(path))
            qsh = new_client(own_daemon(f"StreamLocalBindUnlink {keyword}"))
            done = qsh("-o", "ExitOnForwardFailure=yes", "-R", f"{path}:{LOCALHOST}:1", "host",
                       "sleep 1")  # fmt: skip
            assert done.status == status
        path.unlink(missing_ok=True)

    @pytest.mark.parametrize(
        ("value", "works"), [("no", False), ("local", True), ("remote", False)]
    )
    def test_they_have_a_rule_of_their_own(self, own_daemon, new_client, value, works):
        qsh = new_client(own_daemon(f"AllowStreamLocalForwarding {value}"))
        far, port = Path(f"/tmp/qsh-far-{os.getpid()}"), free_port()
        far.unlink(missing_ok=True)
        with EchoServer(far), running(qsh, "-N", "-L", f"{port}:{far}", "host"):
            if works:
                assert exchange(port, b"x") == b"x"
            else:
                with connect(port) as sock, pytest.raises(ConnectionResetError):
                    sock.recv(1)
        far.unlink()


def through(path):
    """What comes back through the Unix socket at this path, as soon as there is one."""
    wait_until(path.exists)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        sock.sendall(b"hello")
        return sock.recv(100)


def wait_until(holds, seconds=15.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_permit_remote_open(qsh, echo):
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    qsh.configure("PermitRemoteOpen web:80")
    port = free_port()
    with running(qsh, "-N", "-R", port, "host"):
        connect(port).close()
        done = subprocess.run(
            ["curl", "-sS", "-x", f"socks5://{LOCALHOST}:{port}", f"http://{LOCALHOST}:{echo.port}"],
            capture_output=True, timeout=20,
        )  # fmt: skip
    assert done.returncode == 97  # not permitted by the proxy
