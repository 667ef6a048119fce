"""A session outlives its network: other addresses, a forgetful NAT, outages, sleep.

Over an emulated path of 100 ms there and back behind a NAT; `tests/wan/roaming.py` prints the same
in figures, beside mosh's.
"""

import hashlib
import os
import signal
import subprocess
import time

import pytest

from tests.integration.harness import Client, Daemon, public
from tests.wan.lab import Wan
from tests.wan.sessions import Copy, Echo, Ticker

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]

ROUND_TRIP = 0.1
PORT = 4422
"""The same for IPv4 and IPv6."""
SLACK = 0.5
"""Seconds that a busy machine may add."""


@pytest.fixture(scope="module")
def wan():
    with Wan("--nat", "--ipv6", rtt=f"{ROUND_TRIP}") as wan:
        yield wan


@pytest.fixture(scope="module")
def far_daemon(wan, engines, tmp_path_factory):
    """A qshd at the far end of the path."""
    listen = [f"ListenAddress {wan.server_address}", f"ListenAddress {wan.server_ipv6}"]
    daemon = Daemon(tmp_path_factory.mktemp("far"), engines[1], listen, wan.server,
                    wan.server_address, PORT).start()  # fmt: skip
    yield daemon
    daemon.stop()


@pytest.fixture
def far(wan, engines, far_daemon, tmp_path):
    """`qsh` at the near end."""
    wan.ctl("blackout 0")
    wan.ctl(f"set delay={ROUND_TRIP / 2} loss=0 rate=0 reorder=0 duplicate=0")
    wan.ctl(f"address {wan.client_address}")
    wan.ctl("families 46")
    client = Client(tmp_path / "near", engines[0], wan.server_address, far_daemon.port, wan.client)
    client.known_hosts.write_text(far_daemon.known_hosts_line() + "\n")
    far_daemon.authorize(public(client.key))
    return client


@pytest.fixture
def echo(far):
    """A session that gives back every key."""
    with Echo(far.command("host", "exec cat"), far.environment) as session:
        assert session.time(10) is not None
        yield session


@pytest.fixture
def ticker(far):
    """A session that prints a number ten times a second, and reads nothing."""
    command = "n=0; while sleep 0.1; do n=$((n+1)); echo $n; done"
    with Ticker(far.command("host", command), far.environment) as session:
        session.run(1.0)
        yield session


def test_output_goes_on_after_a_change_of_address_though_nobody_types(wan, ticker):
    wan.ctl("address 10.77.0.7")
    gap = ticker.longest_gap(4.0)
    assert gap < ROUND_TRIP + 1.0
    assert ticker.is_complete


def test_a_key_is_echoed_soon_after_a_change_of_address(wan, echo):
    wan.ctl("address 10.77.0.8")
    assert echo.time(5) < 2 * ROUND_TRIP + 0.5


def test_three_seconds_without_any_network_are_followed_by_an_echo_at_once(wan, echo):
    wan.ctl("address 10.77.0.9 3")
    assert echo.time(5) < 2 * ROUND_TRIP + 0.5


def test_a_nat_that_forgets_everything_is_not_noticed(wan, echo):
    for what in ("", "address"):
        wan.ctl(f"nat flush {what}".strip())
        assert echo.time(5) < 2 * ROUND_TRIP + SLACK


@pytest.mark.parametrize(
    "seconds",
    [2, pytest.param(30, marks=pytest.mark.slow), pytest.param(120, marks=pytest.mark.slow)],
)
def test_a_key_typed_in_an_outage_is_echoed_at_its_end(wan, echo, seconds):
    wan.ctl(f"blackout {seconds}s")
    end = time.monotonic() + seconds
    assert echo.time(seconds + 10) is not None
    assert time.monotonic() - end < 2 * ROUND_TRIP + 0.5


@pytest.mark.parametrize("seconds", [4, pytest.param(90, marks=pytest.mark.slow)])
def test_a_client_that_slept_goes_on_at_once(ticker, seconds):
    ticker.signal(signal.SIGSTOP)
    time.sleep(seconds)
    ticker.signal(signal.SIGCONT)
    begin = time.monotonic()
    assert ticker.catch_up(0.1 * seconds, 10)
    assert time.monotonic() - begin < 3
    assert ticker.is_complete


def test_a_transfer_loses_no_byte_to_four_changes_of_address(wan, far):
    wan.ctl("set rate=16mbit")
    data = os.urandom(5 << 20)
    process = far.start("host", "sha256sum; head -c 4000000 /dev/zero", stdin=subprocess.PIPE)
    process.stdin.write(data[:1000])
    process.stdin.flush()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=process.stdin) as feeder:
        feeder.stdin.write(data[1000:3000000])
        process.stdin.close()
        for number in range(3):
            time.sleep(0.3)
            wan.ctl(f"address 10.77.0.{20 + number}")
        feeder.stdin.write(data[3000000:])
        feeder.stdin.close()
        time.sleep(0.5)
        wan.ctl("address 10.77.0.30")
        stdout = process.stdout.read()
    assert process.wait(60) == 0
    digest, _, rest = stdout.partition(b"\n")
    assert digest.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert rest == bytes(4000000)


@pytest.fixture
def dual(wan, far, far_daemon):
    """The host has an IPv4 and an IPv6 address, and the client begins with IPv4."""
    far.configure(f"HostName {wan.server_name}")
    line = far_daemon.known_hosts_line().replace(wan.server_address, wan.server_name)
    far.known_hosts.write_text(line + "\n")
    wan.ctl("families 4")
    with Echo(far.command("host", "exec cat"), far.environment) as session:
        assert session.time(10) is not None
        yield session


def test_from_ipv4_to_ipv6_and_back(wan, dual):
    wan.ctl("families 6")
    assert dual.time(5) < 2 * ROUND_TRIP + 0.5
    wan.ctl("families 4")
    assert dual.time(5) < 2 * ROUND_TRIP + 0.5


def test_bytes_stay_exact_where_packets_are_lost_overtaken_and_doubled(wan, far):
    """Both ways at once, and the address changes in the middle."""
    wan.ctl("set loss=5% reorder=5% reorder-delay=30ms duplicate=5% rate=16mbit")
    data = os.urandom(1 << 20)
    process = far.start("host", "exec cat")
    with Copy(process, data) as copy:
        assert copy.begins(20)
        wan.ctl("address 10.77.0.40")
        wan.ctl("nat flush address")
        assert copy.finished(90) == data
    assert process.wait(20) == 0


def test_a_key_that_is_bound_to_an_address_does_not_follow_the_client(wan, far, far_daemon):
    """from= of authorized_keys: the new path is refused, and the old one would still do."""
    wan.ctl("nat flush address")
    seen = wan.public_address()
    far_daemon.authorize(f'from="{seen}" {public(far.key)}')
    with Echo(far.command("host", "exec cat"), far.environment) as session:
        assert session.time(10) is not None
        wan.ctl("nat flush address")
        assert session.time(3) is None
        assert far_daemon.wait_for_log("may not move to")
