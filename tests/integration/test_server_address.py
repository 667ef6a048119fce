"""The server gets another address, and its name leads there: dynamic DNS, by a real hosts file."""

import os
from pathlib import Path

import pytest

from tests.integration.harness import Client, Daemon, missing_programs, public
from tests.integration.raw_client import named
from tests.wan.namespace import ip, remove_namespace
from tests.wan.sessions import Echo

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.one_pair]

BEFORE, AFTER = "192.0.2.1", "192.0.2.2"
HOST = "moving.example"


@pytest.fixture
def namespace():
    """A network namespace with a default route to nowhere, and the server's address on it."""
    if os.geteuid() or missing_programs("ip"):
        pytest.skip("needs root and ip")
    name = f"qsh-moving-{os.getpid()}"
    folder = Path("/etc/netns") / name
    folder.mkdir(parents=True)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{BEFORE} {HOST}\n")
    ip("netns", "add", name)
    for words in ("link set lo up", "tuntap add dev out mode tun", "link set out up",
                  "addr add 198.51.100.5/24 dev out", "route add default dev out",
                  f"addr add {BEFORE}/32 dev lo"):  # fmt: skip
        ip(*words.split(), namespace=name)
    yield name
    remove_namespace(name)  # and the folder


@pytest.fixture
def qsh(namespace, engines, tmp_path):
    """`qsh` there, and the daemon that it knows by name, at all addresses."""
    prefix = ["ip", "netns", "exec", namespace]
    daemon = Daemon(tmp_path / "far", engines[1], ["ListenAddress 0.0.0.0"], prefix, BEFORE).start()
    client = Client(tmp_path / "near", engines[0], HOST, daemon.port, prefix)
    client.known_hosts.write_text(daemon.known_hosts_line().replace(BEFORE, HOST) + "\n")
    daemon.authorize(public(client.key))
    client.daemon = daemon
    yield client
    daemon.stop()


def move(namespace):
    """The server is elsewhere."""
    ip("addr", "del", f"{BEFORE}/32", "dev", "lo", namespace=namespace)
    ip("addr", "add", f"{AFTER}/32", "dev", "lo", namespace=namespace)
    hosts = Path(f"/etc/netns/{namespace}/hosts")
    hosts.write_text(hosts.read_text().replace(BEFORE, AFTER))


def test_the_connection_goes_on(qsh, namespace):
    with Echo(qsh.command("host", "exec cat"), qsh.environment) as session:
        assert session.time(20) is not None
        (worker,) = named(qsh.daemon, "qshd-worker")
        move(namespace)
        assert session.time(40) is not None
        assert named(qsh.daemon, "qshd-worker") == [worker]


def test_the_session_is_resumed_if_the_connection_was_lost(qsh, namespace):
    with Echo(qsh.command("host", "exec cat"), qsh.environment) as session:
        assert session.time(20) is not None
        (worker,) = named(qsh.daemon, "qshd-worker")
        os.kill(worker, 9)
        move(namespace)
        assert session.time(60) is not None
