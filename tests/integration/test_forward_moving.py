"""Forwards outlive the network: everything in use, three changes of address, and an outage."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from tests.integration.forward_peers import LOCALHOST
from tests.integration.harness import Client, Daemon, make_key, missing_programs, public
from tests.sources import ROOT
from tests.wan.lab import Wan

pytestmark = [pytest.mark.netns, pytest.mark.timeout(180)]

FAR_TCP, FAR_UDP, NEAR_TCP = 7001, 7002, 7003
LOCAL, REMOTE, PROXY, DATAGRAMS = 7101, 7102, 7103, 7104
STEADY = [sys.executable, "-m", "tests.integration.steady"]


@pytest.fixture(scope="module")
def wan():
    with Wan("--nat", rtt="60ms") as wan:
        yield wan


@contextlib.contextmanager
def program(prefix, *arguments):
    """One of tests.integration.steady, in a namespace."""
    process = subprocess.Popen([*prefix, *STEADY, *map(str, arguments)], cwd=ROOT,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def qsh(wan, engines, tmp_path):
    wan.ctl(f"address {wan.client_address}")
    daemon = Daemon(tmp_path / "far", engines[1], (), wan.server, wan.server_address).start()
    client = Client(tmp_path / "near", engines[0], wan.server_address, daemon.port, wan.client)
    client.known_hosts.write_text(daemon.known_hosts_line() + "\n")
    daemon.authorize(public(client.key))
    yield client
    daemon.stop()


@pytest.mark.parametrize(
    ("seconds", "outage"), [(9, 2), pytest.param(45, 20, marks=pytest.mark.slow)]
)
def test_everything_goes_on(wan, qsh, ssh_agent, tmp_path, seconds, outage):
    if missing := missing_programs("ssh-add"):
        pytest.skip(f"not installed here: {', '.join(missing)}")
    key = make_key(tmp_path / "agent_key")
    environment = {"SSH_AUTH_SOCK": str(ssh_agent)}
    subprocess.run(["ssh-add", "-q", key], check=True, env=os.environ | environment)
    options = ["-A", "-L", f"{LOCAL}:{LOCALHOST}:{FAR_TCP}",
               "-L", f"udp/{DATAGRAMS}:{LOCALHOST}:{FAR_UDP}",
               "-R", f"{REMOTE}:{LOCALHOST}:{NEAR_TCP}", "-D", PROXY]  # fmt: skip
    count = int(seconds / 0.3)
    command = f"echo ready; for i in $(seq {count}); do ssh-add -l || exit 3; sleep 0.3; done"
    with contextlib.ExitStack() as stack:
        start = lambda *words: stack.enter_context(program(*words))  # noqa: E731
        for prefix, kind, port in (
            (wan.server, "tcp", FAR_TCP), (wan.server, "udp", FAR_UDP),
            (wan.client, "tcp", NEAR_TCP),
        ):  # fmt: skip
            start(prefix, "echo", kind, LOCALHOST, port)
        session = qsh.start(*options, "host", command, env=environment)
        assert session.stdout.readline() == b"ready\n", session.stderr.read()
        streams = [
            start(wan.client, "stream", LOCAL, seconds),
            start(wan.server, "stream", REMOTE, seconds),
            start(wan.client, "stream", PROXY, seconds, LOCALHOST, FAR_TCP),
        ]
        flow = start(wan.client, "datagrams", DATAGRAMS, seconds)
        trouble(wan, outage)
        for stream in streams:
            assert stream.communicate(timeout=seconds + 40)[0] == "exact\n"
        numbers = flow.communicate(timeout=20)[0].split()
        listed, errors = session.communicate(timeout=60)
    # One session all the time, and every question to the agent had its answer.
    assert (session.returncode, errors) == (0, b"")
    assert listed.count(b"agent_key") == count
    sent, seen, _late, gap, since = map(float, numbers)
    assert since < 0.5
    assert gap < outage + 1.5
    assert seen > 0.8 * (sent - outage / 0.02 - 3 / 0.02)


def trouble(wan, outage):
    """Three other addresses, one behind another NAT binding, and no network at all."""
    time.sleep(1.0)
    for number in (41, 42):
        wan.ctl(f"address 10.77.0.{number}")
        time.sleep(1.0)
    wan.ctl(f"blackout {outage}s")
    wan.ctl("address 10.77.0.43")
    time.sleep(outage)
