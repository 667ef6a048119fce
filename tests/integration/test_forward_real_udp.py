"""What people send by UDP, through forwards: HTTP/3, dig, a call over a path that loses."""

import contextlib
import shutil
import socket
import subprocess
import threading

import pytest

from qsh.forward.socks_wire import UdpDatagram, decode_udp, encode_udp
from tests.integration.forward_peers import (
    LOCALHOST,
    connect,
    free_port,
    running,
    wait_for_port,
)
from tests.integration.harness import Client, Daemon, public
from tests.integration.http3 import Site, fetch
from tests.integration.test_forward_moving import program
from tests.integration.test_forward_udp import associate, name_server  # noqa: F401
from tests.wan.lab import Wan

pytestmark = [pytest.mark.one_pair, pytest.mark.timeout(120)]

PAGES = [f"/{size}" for size in (0, 1, 50_000, 1_000_000)]
ANSWERS = [(b"200", int(page[1:])) for page in PAGES]


@pytest.fixture(scope="module")
def site():
    with Site() as site:
        yield site


@pytest.mark.parametrize("letter", ["-L", "-R"])
def test_http3_through_a_forward(qsh, site, letter):
    port = free_port(socket.SOCK_DGRAM)
    with forwarding(qsh, letter, f"udp/{port}:{LOCALHOST}:{site.port}"):
        assert fetch(port, *PAGES) == ANSWERS


@contextlib.contextmanager
def forwarding(qsh, *options):
    """A session whose forwards are there."""
    with running(qsh, *options, "host", "echo ready; exec sleep 60") as session:
        assert session.stdout.readline() == b"ready\n"
        yield


def test_http3_through_an_association(qsh, site):
    port = free_port()
    with running(qsh, "-N", "-D", port, "host"):
        wait_for_port(port)
        with connect(port) as control, shim(associate(control), site.port) as near:
            assert fetch(near, *PAGES) == ANSWERS


class shim:  # noqa: N801
    """A port whose datagrams go through a SOCKS relay, since aioquic speaks no SOCKS."""

    def __init__(self, relay, target):
        self.relay, self.target = relay, target

    def __enter__(self):
        self.near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (self.near, self.far):
            sock.bind((LOCALHOST, 0))
        self.client = None
        for work in (self._out, self._back):
            threading.Thread(target=work, daemon=True).start()
        return self.near.getsockname()[1]

    def __exit__(self, *_):
        for sock in (self.near, self.far):
            sock.close()

    def _out(self):
        try:
            while True:
                data, self.client = self.near.recvfrom(65535)
                self.far.sendto(encode_udp(UdpDatagram(LOCALHOST, self.target, data)), self.relay)
        except OSError:
            pass

    def _back(self):
        try:
            while True:
                self.near.sendto(decode_udp(self.far.recv(65535)).payload, self.client)
        except OSError:
            pass


@pytest.mark.skipif(not shutil.which("dig"), reason="needs dig")
@pytest.mark.parametrize("letter", ["-L", "-R"])
def test_dig_through_a_forward(qsh, name_server, letter):  # noqa: F811
    port = free_port(socket.SOCK_DGRAM)
    with forwarding(qsh, letter, f"udp/{port}:{LOCALHOST}:{name_server}"):
        done = subprocess.run(
            ["dig", f"@{LOCALHOST}", "-p", str(port), "example.net", "A", "+short",
             "+noedns", "+time=1", "+tries=15"], capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    assert done.stdout.split()[-1:] == ["192.0.2.7"], done.stdout


@pytest.mark.netns
def test_a_call_loses_what_the_path_loses(engines, tmp_path):
    """5 % of the packets are lost one way: 5 % of the datagrams, none late, none twice."""
    with Wan(rtt="30ms", up="loss=5%") as wan:
        daemon = Daemon(tmp_path / "far", engines[1], (), wan.server, wan.server_address).start()
        qsh = Client(tmp_path / "near", engines[0], wan.server_address, daemon.port, wan.client)
        qsh.known_hosts.write_text(daemon.known_hosts_line() + "\n")
        daemon.authorize(public(qsh.key))
        spec = f"udp/7301:{LOCALHOST}:7302"
        with program(wan.server, "echo", "udp", LOCALHOST, 7302), forwarding(qsh, "-L", spec):
            before = wan.stats()
            with program(wan.client, "datagrams", 7301, 20, 0.005) as flow:
                words = flow.communicate(timeout=60)[0].split()
            after = wan.stats()
        daemon.stop()
    sent, seen, late = map(int, words[:3])
    assert sent > 2000
    lost = of_path(before, after)
    assert 0.02 < lost < 0.09
    assert abs((1 - seen / sent) - lost) < 0.01, (sent, seen, lost)
    assert late == 0


def of_path(before, after):
    """The share of packets that the path has lost on the way up."""
    up = {key: after["up"][key] - before["up"][key] for key in after["up"]
          if isinstance(after["up"][key], (int, float))}  # fmt: skip
    return up["lost"] / up["packets_in"]


