"""What cannot be had: the peer's own error at once, to the user and to the application."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from qsh.errors import ChannelOpenError
from qsh.forward.tunnel_device import open_device
from qsh.wire.forward_messages import ANY_UNIT, POINT_TO_POINT, DirectTcpip, DirectUdp, TunnelOpen
from tests.integration.forward_peers import LOCALHOST, connect, free_port, running, wait_for_port
from tests.integration.harness import make_key, public
from tests.integration.raw_client import connected
from tests.integration.test_forward_rights import wait_until

pytestmark = pytest.mark.one_pair

UNREACHABLE = "224.0.0.1"
"""No TCP connection is ever made to a group: the system says so at once, everywhere."""
REFUSED, NETWORK_UNREACHABLE, NOT_ALLOWED = 5, 3, 2
"""RFC 1928 section 6."""


def test_an_unreachable_target_is_told(qsh):
    port = free_port()
    with running(qsh, "-N", "-L", f"{port}:{UNREACHABLE}:80", "host") as process:
        with connect(port) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        line = process.stderr.readline().decode()
    assert line == f"qsh: {UNREACHABLE} port 80: Network is unreachable\n"


@pytest.mark.parametrize("what", ["closed", UNREACHABLE])
def test_a_target_of_a_remote_forward_is_refused_to_the_application(qsh, what):
    port, closed = free_port(), free_port()
    target = f"{LOCALHOST}:{closed}" if what == "closed" else f"{what}:80"
    spec = f"{port}:{target}"
    with (
        running(qsh, "-N", "-R", spec, "host"),
        connect(port) as sock,
        pytest.raises(ConnectionResetError),
    ):
        sock.recv(1)


def socks5(port, host, target):
    """The code of the proxy's reply to a CONNECT."""
    with connect(port) as sock:
        sock.sendall(b"\5\1\0" + b"\5\1\0\1" + socket.inet_aton(host) + target.to_bytes(2, "big"))
        reply = b""
        while len(reply) < 4:
            reply += sock.recv(100)
        assert reply[:3] == b"\5\0\5"
        return reply[3]


@pytest.mark.parametrize("letter", ["-D", "-R"])
def test_a_proxy_says_why(qsh, letter):
    port = free_port()
    with running(qsh, "-N", letter, port, "host"):
        wait_for_port(port)
        assert socks5(port, LOCALHOST, free_port()) == REFUSED
        assert socks5(port, UNREACHABLE, 80) == NETWORK_UNREACHABLE
        with connect(port) as sock:  # SOCKS 4
            sock.sendall(b"\4\1" + free_port().to_bytes(2, "big") + bytes((127, 0, 0, 1)) + b"me\0")
            assert sock.recv(8)[:2] == b"\0\x5b"


def test_a_proxy_says_what_the_server_does_not_permit(own_daemon, new_client):
    qsh, port = new_client(own_daemon("PermitOpen none")), free_port()
    with running(qsh, "-N", "-D", port, "host"):
        wait_for_port(port)
        assert socks5(port, LOCALHOST, 1) == NOT_ALLOWED


@pytest.mark.parametrize(("permitted", "answer"), [("none", NOT_ALLOWED), ("127.0.0.1:*", REFUSED)])
def test_a_remote_proxy_goes_where_the_client_permits(qsh, permitted, answer):
    qsh.configure(f"PermitRemoteOpen {permitted}")
    port = free_port()
    with running(qsh, "-N", "-R", port, "host"):
        wait_for_port(port)
        assert socks5(port, LOCALHOST, free_port()) == answer


def test_a_local_socket_in_the_way_stays_or_gives_way(qsh):
    path = Path(f"/tmp/qsh-way-{os.getpid()}")
    for keyword in ("no", "yes"):
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(str(path))
        done = qsh("-o", f"StreamLocalBindUnlink={keyword}", "-o", "ExitOnForwardFailure=yes",
                   "-o", "StreamLocalBindMask=0111", "-L", f"{path}:{LOCALHOST}:1", "host",
                   f"stat -c %a {path}")  # fmt: skip
        if keyword == "no":
            assert (done.status, done.stderr) == (
                255, f"qsh: cannot listen on {path}: Address already in use\n"
            )  # fmt: skip
        else:
            assert (done.status, done.stdout) == (0, b"666\n"), done.stderr
    wait_until(lambda: not path.exists())


def refusal(daemon, tmp_path, body):
    """Why the server opens no such channel."""
    key = make_key(tmp_path / "key")
    daemon.authorize(public(key))

    async def ask():
        async with connected(daemon, key) as client:
            with pytest.raises(ChannelOpenError) as caught:
                await asyncio.wait_for(client.connection.open_channel(body).opened(), 20)
        return str(caught.value)

    return asyncio.run(ask())


class TestAtTheServer:
    """Asked by a client that never asks itself what it may."""

    @pytest.mark.parametrize("lines", [["PermitTunnel no"], [], ["PermitTunnel ethernet"],
                                       ["PermitTunnel yes", "DisableForwarding yes"]])  # fmt: skip
    def test_a_tunnel_that_is_not_permitted(self, own_daemon, tmp_path, lines):
        body = TunnelOpen(POINT_TO_POINT, ANY_UNIT)
        text = refusal(own_daemon(*lines), tmp_path, body)
        assert text == "administratively prohibited"

    def test_a_tunnel_for_which_the_user_has_no_right(self, own_daemon, tmp_path):
        if os.geteuid() == 0:
            pytest.skip("root may open any device")
        body = TunnelOpen(POINT_TO_POINT, ANY_UNIT)
        text = refusal(own_daemon("PermitTunnel yes"), tmp_path, body)
        assert text in ("Permission denied", "Operation not permitted", "No such file or directory")

    @pytest.mark.parametrize("kind", [DirectTcpip, DirectUdp])
    def test_a_forward_that_is_not_permitted(self, own_daemon, tmp_path, kind):
        body = kind(LOCALHOST, 9, LOCALHOST, 1)
        text = refusal(own_daemon("AllowTcpForwarding remote"), tmp_path, body)
        assert text == "administratively prohibited"


class TestAPlainUser:
    @pytest.fixture(autouse=True)
    def plain(self):
        if os.geteuid() == 0:
            pytest.skip("root may open any device")

    def test_has_no_device(self):
        if not Path("/dev/net/tun").exists():
            pytest.skip("no /dev/net/tun")
        with pytest.raises(OSError, match=r"permitted|denied"):
            open_device(POINT_TO_POINT, ANY_UNIT)

    def test_is_told_and_the_command_runs(self, qsh):
        done = qsh("-w", "any", "host", "echo ran")
        assert (done.status, done.stdout) == (0, b"ran\n")
        assert done.stderr.startswith("qsh: cannot open a tunnel device: ")

    def test_or_ends_it_all(self, qsh):
        done = qsh("-o", "ExitOnForwardFailure=yes", "-w", "any", "host", "echo ran")
        assert (done.status, done.stdout) == (255, b"")
        assert done.stderr.startswith("qsh: cannot open a tunnel device: ")
