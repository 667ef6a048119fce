"""-W: standard input and output to somewhere, also as the ProxyCommand of OpenSSH's ssh."""

import os
import subprocess

import pytest

from tests.bench.peers import SSHD, ssh_peer
from tests.integration.forward_peers import LOCALHOST, EchoServer, free_port
from tests.integration.harness import missing_programs

pytestmark = pytest.mark.one_pair


def test_bytes_go_through_whole(qsh):
    data = os.urandom(2_000_000)
    with EchoServer() as echo:
        done = qsh("-W", f"{LOCALHOST}:{echo.port}", "host", stdin=data)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == data


def test_what_is_refused_is_told(qsh):
    done = qsh("-W", f"{LOCALHOST}:{free_port()}", "host")
    assert (done.status, done.stderr) == (255, "qsh: Connection refused\n")


@pytest.mark.parametrize("target", ["nothing", "h:0", ":22"])
def test_what_is_no_target_is_told(qsh, target):
    done = qsh("-W", target, "host")
    assert done.status == 255
    assert done.stderr.startswith("qsh: -W: bad ")


def test_as_the_proxy_of_ssh(qsh, tmp_path):
    if missing := missing_programs("ssh", SSHD):
        pytest.skip(f"not installed here: {', '.join(missing)}")
    qsh.configure("LogLevel ERROR")
    with ssh_peer(tmp_path / "ssh", LOCALHOST, (), ()) as peer:
        proxy = " ".join(qsh.command("-W", "%h:%p", "host"))
        environment = peer.environment | qsh.environment
        done = subprocess.run(
            [*peer.command[:-1], "-o", f"ProxyCommand={proxy}", "host", "echo through"],
            env=environment, capture_output=True, timeout=40,
        )  # fmt: skip
    assert done.stdout == b"through\n", done.stderr
