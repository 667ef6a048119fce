"""Networks that let no UDP through, from the start or suddenly; 50 ms there and back."""

import statistics
import time

import pytest

from tests.integration.forward_peers import free_port
from tests.integration.harness import Client, Daemon, public
from tests.wan.lab import Wan
from tests.wan.sessions import Echo, Ticker

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wan():
    with Wan(rtt="50ms") as wan:
        yield wan


@pytest.fixture(scope="module")
def far_daemon(wan, engines, tmp_path_factory):
    """A qshd with a TcpPort at the far end of the path."""
    tcp = free_port()
    daemon = Daemon(tmp_path_factory.mktemp("far"), engines[1], prefix=wan.server,
                    address=wan.server_address, settings=[f"TcpPort {tcp}"]).start()  # fmt: skip
    daemon.tcp = tcp
    yield daemon
    daemon.stop()


@pytest.fixture
def far(wan, engines, far_daemon, tmp_path):
    wan.ctl("udp pass")
    client = Client(tmp_path / "near", engines[0], wan.server_address, far_daemon.port, wan.client)
    client.configure(f"TcpPort {far_daemon.tcp}", "FallbackToSsh no")
    client.known_hosts.write_text(far_daemon.known_hosts_line() + "\n")
    far_daemon.authorize(public(client.key))
    yield client
    wan.ctl("udp pass")


def time_of(client):
    begin = time.monotonic()
    done = client("host", "true")
    assert done.status == 0, done.stderr
    return time.monotonic() - begin


def test_without_udp_it_takes_a_second_more_at_most(wan, far):
    by_udp = statistics.median(time_of(far) for _ in range(3))
    wan.ctl("udp drop")
    by_stream = statistics.median(time_of(far) for _ in range(3))
    print(f"by UDP {by_udp:.2f} s, without UDP {by_stream:.2f} s")
    assert by_stream < by_udp + 1.0


@pytest.mark.parametrize("direction", ["", " up", " down"])
def test_a_shell_survives_a_filter_and_its_end(wan, far, direction):
    with Echo(far.command("host", "exec cat"), far.environment) as echo:
        assert echo.time(20) is not None
        wan.ctl(f"udp drop{direction}")
        assert echo.time(20) is not None
        assert echo.time(20) < 1.0
        before = wan.stats()["up"]["filtered"], wan.stats()["down"]["filtered"]
        wan.ctl("udp pass")
        assert any(before)
        end = time.monotonic() + 40
        while not is_back_at_udp(wan, echo):
            assert time.monotonic() < end


def is_back_at_udp(wan, echo):
    """Whether what is typed waits for UDP."""
    time.sleep(1)
    assert echo.time(20) is not None
    wan.ctl("udp drop")
    try:
        return echo.time(1.0) is None
    finally:
        wan.ctl("udp pass")


def test_output_loses_no_line(wan, far):
    command = "n=0; while sleep 0.1; do n=$((n+1)); echo $n; done"
    with Ticker(far.command("host", command), far.environment) as ticker:
        ticker.run(1.0)
        wan.ctl("udp drop")
        gap = ticker.longest_gap(10.0)
        print(f"the longest gap: {gap:.1f} s")
        assert gap < 8
        wan.ctl("udp pass")
        assert ticker.longest_gap(10.0) < 3
        assert ticker.is_complete
