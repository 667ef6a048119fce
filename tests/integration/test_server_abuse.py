"""Who knocks too often, too long or with forged addresses; and that others do not notice."""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from qsh.wire.start_messages import ExecRequest
from tests.integration.harness import Daemon, make_key, public
from tests.integration.raw_client import connected, named, wait_until
from tests.sources import ROOT
from tests.wan.lab import Wan
from tests.wan.namespace import set_namespace

pytestmark = pytest.mark.one_pair


def test_failed_logins_of_one_source_shut_it_out_for_a_while(own_daemon, new_client, tmp_path):
    daemon = own_daemon("PerSourcePenalties authfail:12 min:20")
    client = new_client(daemon)
    stranger = make_key(tmp_path / "stranger")
    options = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=4")
    for _ in range(2):
        assert client.run("-i", stranger, *options, "host", "true").status in (0, 255)
    daemon.authorize()  # nobody
    for _ in range(2):
        assert client.run(*options, "host", "true").status == 255
    assert wait_until(lambda: not named(daemon, "qshd-worker"))
    daemon.authorize(client.key.with_suffix(".pub").read_text())
    assert client.run(*options, "host", "true").status == 255
    assert daemon.wait_for_log("penalty: failed authentication")
    end = time.monotonic() + 60
    while client.run(*options, "host", "echo in").stdout != b"in\n":
        assert time.monotonic() < end


def test_exempt_sources_are_not(own_daemon, new_client):
    daemon = own_daemon("PerSourcePenalties authfail:60", "PerSourcePenaltyExemptList 127.0.0.0/8")
    client = new_client(daemon)
    daemon.authorize()
    for _ in range(2):
        assert client.run("-o", "BatchMode=yes", "host", "true").status == 255
    daemon.authorize(client.key.with_suffix(".pub").read_text())
    assert client.run("host", "echo in").stdout == b"in\n"


def test_a_source_has_its_own_limit(own_daemon, new_client):
    daemon = own_daemon("PerSourceMaxStartups 2", "PerSourceNetBlockSize 24:64")
    client = new_client(daemon)

    async def scenario():
        async with (
            connected(daemon, client.key, login=False),
            connected(daemon, client.key, login=False),
        ):
            refused = await asyncio.to_thread(
                client.run, "-o", "ConnectTimeout=3", "-o", "BatchMode=yes", "host", "true"
            )
            assert refused.status == 255
        assert await asyncio.to_thread(wait_until, lambda: not named(daemon, "qshd-worker"))

    asyncio.run(scenario())
    assert "past per-source limit" in daemon.log
    assert client.run("host", "echo in").stdout == b"in\n"


def test_login_grace_time_ends_who_does_not_log_in(own_daemon, new_client):
    daemon = own_daemon("LoginGraceTime 2")
    client = new_client(daemon)

    async def scenario():
        async with connected(daemon, client.key, login=False) as raw:
            begin = time.monotonic()
            await asyncio.wait_for(raw.connection.wait_closed(), 10)
            return time.monotonic() - begin

    assert 1.0 < asyncio.run(scenario()) < 5.0
    assert daemon.wait_for_log("Timeout before authentication for connection from 127.0.0.1")
    assert wait_until(lambda: not named(daemon, "qshd-monitor"))


# ---------------------------------------------------------------- a flood


class Flood:
    """A process that sends forged Initials; see tests/integration/flood.py."""

    def __init__(self, daemon, rate, prefix=()):
        self._arguments = [*prefix, sys.executable, "-m", "tests.integration.flood",
                           daemon.address, str(daemon.port), str(rate)]  # fmt: skip

    def __enter__(self):
        self._process = subprocess.Popen(self._arguments, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout.readline()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self.sent = int(self._process.communicate()[0].split()[-1])


async def type_for(channels, seconds):
    """Milliseconds until each of many keys was back, the 99th of 100."""
    times = []

    async def type_into(channel):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            await channel.write(b"x")
            assert await channel.read() == b"x"
            times.append(1e3 * (time.monotonic() - begin))
            await asyncio.sleep(0.1)

    await asyncio.gather(*map(type_into, channels))
    return statistics.quantiles(times, n=100)[98]


def resident(daemon):
    """Megabytes of the listener."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) / 1024


FLOODED = ("LogLevel INFO", "MaxStartups 30:30:100")


def test_a_flood_of_forged_initials_shuts_nobody_out(own_daemon, new_client):
    """Beside other tests: how long a key takes is not judged here."""
    daemon = own_daemon(*FLOODED)
    client = new_client(daemon)
    asyncio.run(flooded(daemon, client.key, 4, 5_000, 4))
    assert client.run("host", "echo in").stdout == b"in\n"


@pytest.mark.slow
@pytest.mark.netns
@pytest.mark.timeout(400)
def test_a_flood_of_forged_initials_is_not_felt(engines, tmp_path):
    """From a network of its own, with four million source addresses: 20 sessions type on."""
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    with Wan("--direct") as wan:
        # Strangers are behind a gateway, not neighbours whom ARP would ask for.
        subprocess.run([*wan.server, "ip", "route", "add", "10.64.0.0/10", "via",
                        wan.client_address, "dev", "wan0", "onlink"], check=True)  # fmt: skip
        daemon = Daemon(tmp_path / "server", engines[1], FLOODED, prefix=wan.server,
                        address=wan.server_address).start()  # fmt: skip
        try:
            key = make_key(tmp_path / "key")
            daemon.authorize(public(key))
            with in_namespace(wan.client[-1]):
                quiet, during, again = asyncio.run(
                    flooded(daemon, key, 20, 20_000, 20, wan.client)
                )
        finally:
            daemon.stop()
    if busy:
        pytest.skip(f"others compute here, times are not judged: {quiet:.0f} ms quiet, "
                    f"{during:.0f} ms in the flood, {again:.0f} ms afterwards")  # fmt: skip
    assert during < quiet + 50
    assert again < quiet + 50


@contextlib.contextmanager
def in_namespace(name):
    """Sockets that this thread makes are of that network namespace."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    set_namespace(there)
    try:
        yield
    finally:
        set_namespace(home)
        os.close(home)
        os.close(there)


async def flooded(daemon, key, sessions, rate, seconds, prefix=()):
    """The 99th percentile of a key's way there and back in milliseconds: in a quiet time, under
    the flood, and after it."""
    async with AsyncExitStack() as stack:
        channels = []
        for _ in range(sessions):
            raw = await stack.enter_async_context(connected(daemon, key))
            channels.append(await raw.session())
            assert await channels[-1].request(ExecRequest(b"exec cat"))
        quiet = await type_for(channels, seconds)
        before = resident(daemon)
        with Flood(daemon, rate, prefix) as flood:
            during = await type_for(channels, seconds)
            processes = len(named(daemon, "qshd-worker"))
        after = resident(daemon)
        end = time.monotonic() + 40  # forged handshakes have their time-out
        while len(named(daemon, "qshd-worker")) > sessions and time.monotonic() < end:
            await type_for(channels, 1)
        assert len(named(daemon, "qshd-worker")) == sessions
        again = await type_for(channels, seconds)
    print(f"p99 of a key: {quiet:.1f} ms quiet, {during:.1f} ms in {flood.sent} forged Initials, "
          f"{again:.1f} ms afterwards; listener {before:.0f} -> {after:.0f} MB, "
          f"{processes} workers")  # fmt: skip
    assert after < before + 20
    assert processes <= sessions + 30
    return quiet, during, again
