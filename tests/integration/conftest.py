"""Fixtures of the integration tests: `daemon`, `qsh`, `ssh_agent`, `tmux`, for every engine pair.

A test that uses `daemon` or `qsh` runs once per pair of engines (client×server) that `--pairs` asks
for, among those that are installed; with `@pytest.mark.one_pair` on one of them. The tests of the
server, which speak to it in their own process, run once per engine.
"""

import itertools
import re
import subprocess
import uuid
from pathlib import Path

import pytest

from qsh.quic.engine import available
from tests.integration.harness import Client, Daemon, missing_programs, public
from tests.integration.relay import Relay
from tests.pam_system import account, module, service  # noqa: F401
from tests.tmux import Tmux


def pytest_generate_tests(metafunc):
    if "engines" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--pairs")
        name = metafunc.module.__name__.rpartition(".")[2]
        is_single = metafunc.definition.get_closest_marker("one_pair") is not None
        pairs = pairs_of(available(), wanted, name.startswith("test_server_"), is_single)
        metafunc.parametrize("engines", pairs, ids="-".join, scope="module")


def pairs_of(engines, wanted, is_server, is_single):
    """Pairs of client and server. `equal` and `mixed`, one as root and one as a plain user, are
    all together; `mixed` gives those tests that want a single pair another one."""
    every = list(itertools.product(engines, repeat=2))
    equal = [(name, name) for name in engines]
    if is_single:
        return equal[-1:] if wanted == "mixed" else equal[:1]
    if is_server or wanted == "equal":  # raw_client.connected has the server's engine
        return equal
    return [pair for pair in every if pair not in equal] or every if wanted == "mixed" else every


@pytest.fixture(scope="module")
def engines():
    """Names of the client's and the server's engine. The pairs come from pytest_generate_tests."""


@pytest.fixture(scope="session", autouse=True)
def openssh():
    """The programs that make keys and agents; without them there is nothing to log in with."""
    if missing := missing_programs("ssh-keygen"):
        pytest.skip(f"not installed here: {', '.join(missing)}")


@pytest.fixture(scope="module")
def shared_daemon(engines, tmp_path_factory):
    """One qshd for all tests of a file and pair; use `daemon`, which gives it clean files."""
    daemon = Daemon(tmp_path_factory.mktemp("qshd"), engines[1]).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def daemon(shared_daemon):
    """A running qshd whose authorized_keys is empty (until `qsh` puts its key there)."""
    shared_daemon.authorize()
    return shared_daemon


@pytest.fixture
def own_daemon(engines, tmp_path):
    """Start a qshd with qshd_config lines of one's own: own_daemon("PermitTTY no", …); `more`
    is as Daemon has it."""
    started = []

    def start(*settings, **more):
        daemon = Daemon(tmp_path / f"qshd{len(started)}", engines[1], settings, **more).start()
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.stop()


@pytest.fixture
def new_client(engines, tmp_path):
    """A client of a given daemon, authorized and trusting: new_client(daemon) → Client."""

    def make(daemon, name="home"):
        client = Client(tmp_path / name, engines[0], daemon.address, daemon.port)
        client.known_hosts.write_text(daemon.known_hosts_line() + "\n")
        daemon.authorize(public(client.key))
        return client

    return make


@pytest.fixture
def qsh(daemon, new_client):
    """Run `qsh`: qsh("host", "true") → Result(status, stdout, stderr). Its key is authorized."""
    return new_client(daemon)


@pytest.fixture
def ssh_agent(tmp_path):
    """The real ssh-agent: its socket's path. Add keys with `ssh-add` (SSH_AUTH_SOCK set)."""
    if missing := missing_programs("ssh-agent", "ssh-add"):
        pytest.skip(f"not installed here: {', '.join(missing)}")
    path = Path("/tmp") / f"qsh-agent-{uuid.uuid4().hex[:12]}"  # short: a socket's path is bounded
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    assert re.search(rb"SSH_AUTH_SOCK=", process.stdout.readline())
    yield path
    process.terminate()
    process.communicate()
    path.unlink(missing_ok=True)


@pytest.fixture
def tmux(tmp_path):
    """A tmux of one pane: type into it, read its screen."""
    if missing := missing_programs("tmux"):
        pytest.skip(f"not installed here: {', '.join(missing)}")
    terminal = Tmux(Path("/tmp") / f"qsh-tmux-{uuid.uuid4().hex[:12]}")
    yield terminal
    terminal.close()


@pytest.fixture
def relay(daemon):
    """The way to the daemon, which a test may cut."""
    made = Relay(daemon.port)
    yield made
    made.close()


@pytest.fixture
def far(daemon, relay, engines, tmp_path):
    """A client that reaches the daemon through the relay."""
    client = Client(tmp_path / "far", engines[0], "127.0.0.1", relay.port)
    client.known_hosts.write_text(f"[127.0.0.1]:{relay.port} {public(daemon.host_key)}\n")
    daemon.authorize(public(client.key))
    return client
