"""-w: networks joined by tunnel devices, in namespaces, with ping and iperf3."""

import contextlib
import json
import subprocess
import time

import pytest

from tests.integration.forward_peers import running
from tests.integration.harness import Client, Daemon, missing_programs, public
from tests.wan.lab import Wan

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

NEAR, FAR = "10.99.0.1", "10.99.0.2"
PERMIT = "PermitTunnel yes"


@pytest.fixture(scope="module")
def wan():
    if missing := missing_programs("ping", "iperf3", "ip"):
        pytest.skip(f"not installed here: {', '.join(missing)}")
    with Wan(rtt="20ms") as wan:
        yield wan


@pytest.fixture
def join(wan, engines, tmp_path):
    """Start a daemon and a client at both ends: join(qshd_config lines…) → Client, Daemon."""
    daemons = []

    def start(*lines):
        folder = tmp_path / f"far{len(daemons)}"
        daemon = Daemon(folder, engines[1], lines, wan.server, wan.server_address).start()
        daemons.append(daemon)
        client = Client(tmp_path / "near", engines[0], wan.server_address, daemon.port, wan.client)
        client.known_hosts.write_text(daemon.known_hosts_line() + "\n")
        daemon.authorize(public(client.key))
        return client, daemon

    yield start
    for daemon in daemons:
        daemon.stop()


def run_in(prefix, command):
    return subprocess.run([*prefix, "sh", "-c", command], capture_output=True, text=True)


def set_up(prefix, device, address, peer):
    """Give the device an address, as its administrator would, once it is there."""
    end = time.monotonic() + 20
    while run_in(prefix, f"ip link show {device}").returncode:
        assert time.monotonic() < end, f"no {device}"
        time.sleep(0.05)
    what = f"ip addr add {address} peer {peer} dev {device}" if peer else (
        f"ip addr add {address}/24 dev {device}")  # fmt: skip
    done = run_in(prefix, f"{what} && ip link set {device} up")
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def tunnel(wan, qsh, *options, device="tun", units=(5, 6)):
    """A running tunnel between NEAR and FAR."""
    spec = ":".join(map(str, units))
    with running(qsh, "-N", *options, "-w", spec, "host") as process:
        peers = (NEAR, FAR) if device == "tun" else (None, None)
        set_up(wan.client, f"{device}{units[0]}", NEAR, peers[1])
        set_up(wan.server, f"{device}{units[1]}", FAR, peers[0])
        yield process


def ping(wan, *options):
    done = run_in(wan.client, f"ping -n -w 10 {' '.join(options)} {FAR}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("device", ["tun", "tap"])
def test_packets_go_through(wan, join, device):
    qsh, _ = join(PERMIT)
    options = ["-o", "Tunnel=ethernet"] if device == "tap" else []
    with tunnel(wan, qsh, *options, device=device):
        assert "3 received" in ping(wan, "-c 3 -i 0.2")
        assert "2 received" in ping(wan, "-c 2 -i 0.2 -s 8000")


def test_the_device_is_as_wide_as_the_path(wan, join, engines):
    qsh, _ = join(PERMIT)
    with tunnel(wan, qsh):
        for prefix, device in ((wan.client, "tun5"), (wan.server, "tun6")):
            end = time.monotonic() + 20
            while not 1280 <= mtu(prefix, device) < 1500 - 28 - 20:
                assert time.monotonic() < end, mtu(prefix, device)
                time.sleep(0.2)
        if engines[0] == "quinn":
            end = time.monotonic() + 20
            while mtu(wan.client, "tun5") < 1380:
                assert time.monotonic() < end, mtu(wan.client, "tun5")
                time.sleep(0.2)


def test_the_device_follows_the_path(wan, join, engines):
    if engines[0] != "quinn":
        pytest.skip("aioquic tries larger datagrams too rarely to wait for it")
    qsh, _ = join(PERMIT)
    uplink = run_in(wan.client, f"ip -o route get {wan.server_address}").stdout
    uplink = uplink.split(" dev ")[1].split()[0]
    try:
        with tunnel(wan, qsh):
            wait_for_mtu(wan, lambda size: size > 1380)
            run_in(wan.client, f"ip link set {uplink} mtu 1350")
            wait_for_mtu(wan, lambda size: size == 1280)
            run_in(wan.client, f"ip link set {uplink} mtu 1500")
            wait_for_mtu(wan, lambda size: size > 1380)
    finally:
        run_in(wan.client, f"ip link set {uplink} mtu 1500")


def wait_for_mtu(wan, holds):
    """With something to carry meanwhile, since probes go with what is sent."""
    end = time.monotonic() + 40
    while not holds(mtu(wan.client, "tun5")):
        assert time.monotonic() < end, mtu(wan.client, "tun5")
        run_in(wan.client, f"ping -n -c 5 -i 0.02 -w 1 -s 1400 {FAR}")


def mtu(prefix, device):
    return int(json.loads(run_in(prefix, f"ip -j link show {device}").stdout)[0]["mtu"])


def test_tcp_through_it(wan, join):
    qsh, _ = join(PERMIT)
    with tunnel(wan, qsh), iperf_server(wan):
        assert iperf(wan) > 1e6


@contextlib.contextmanager
def iperf_server(wan):
    server = subprocess.Popen([*wan.server, "iperf3", "-s", "-1", "-B", FAR, "-p", "5209"],
                              stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def iperf(wan, seconds=3):
    """Bits per second that arrived."""
    for _ in range(50):
        done = run_in(wan.client, f"iperf3 -J -c {FAR} -p 5209 -t {seconds}")
        if done.returncode == 0:
            return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]
        time.sleep(0.1)
    raise AssertionError(done.stdout)


def test_it_survives_a_change_of_address(wan, join):
    qsh, _ = join(PERMIT)
    with tunnel(wan, qsh):
        ping(wan, "-c 1")
        wan.ctl("address 10.77.0.9")
        assert "1 received" in ping(wan, "-c 1")
        wan.ctl(f"address {wan.client_address}")
        assert "1 received" in ping(wan, "-c 1")


def test_where_the_path_loses_packets_are_sent_twice(wan, join):
    """Of ten in a hundred each way, nineteen pings would be lost, and with copies two."""
    qsh, _ = join(PERMIT)
    with tunnel(wan, qsh):
        wan.ctl("set loss=10%")
        try:
            run_in(wan.client, f"ping -n -c 200 -i 0.01 {FAR}")  # the path becomes known
            done = run_in(wan.client, f"ping -n -c 500 -i 0.01 {FAR}")
        finally:
            wan.ctl("set loss=0")
    received = int(done.stdout.split(" received")[0].split()[-1])
    assert received > 440, done.stdout


def refusal(qsh, *options):
    done = qsh("-o", "ExitOnForwardFailure=yes", *options, "host", "true")
    return done.stderr.strip() if done.status == 255 else ""


@pytest.mark.one_pair
@pytest.mark.parametrize(
    ("lines", "options", "works"),
    [
        (["PermitTunnel no"], ["-w", "any"], False),
        ([], ["-w", "any"], False),
        (["PermitTunnel point-to-point"], ["-w", "any"], True),
        (["PermitTunnel ethernet"], ["-w", "any"], False),
        (["PermitTunnel ethernet"], ["-o", "Tunnel=ethernet", "-w", "any:any"], True),
        ([PERMIT, "DisableForwarding yes"], ["-w", "any"], False),
    ],
)
def test_the_administrators_rule(join, lines, options, works):
    qsh, _ = join(*lines)
    text = refusal(qsh, *options)
    assert text == ("" if works else
                    "qsh: the server refuses the tunnel: administratively prohibited")  # fmt: skip


@pytest.mark.one_pair
@pytest.mark.parametrize(
    ("option", "remote", "works"),
    [('tunnel="7"', "7", True), ('tunnel="7"', "any", True), ('tunnel="7"', "8", False),
     ("restrict", "any", False), ("no-port-forwarding", "any", False)],
)  # fmt: skip
def test_the_keys_options(wan, join, option, remote, works):
    qsh, daemon = join(PERMIT)
    daemon.authorize(f"{option} {public(qsh.key)}")
    done = qsh("-o", "ExitOnForwardFailure=yes", "-w", f"any:{remote}", "host",
               "ip -br link show")  # fmt: skip
    assert (done.status == 0) is works, done.stderr
    if works:
        assert "tun7" in done.stdout.decode()
