"""What somebody on the path has captured is worth nothing when it is sent again."""

import os
import signal
import socket
import time

import pytest

from tests.integration.harness import Client, public
from tests.integration.raw_client import named, wait_until
from tests.integration.relay import Relay
from tests.integration.test_resume_ticket import PATIENCE, tickets

pytestmark = pytest.mark.one_pair


class Recorder(Relay):
    """A relay that keeps what the client sends."""

    def __init__(self, target):
        self.captured = []
        super().__init__(target)

    def _new_inside(self):
        sock = super()._new_inside()
        captured = self.captured

        class Socket:
            """The same, that remembers."""

            def __getattr__(self, name):
                return getattr(sock, name)

            def send(self, data):
                captured.append(data)
                return sock.send(data)

        return Socket()


@pytest.fixture
def resumed(own_daemon, engines, tmp_path):
    """(daemon, client, what the client has sent since its session was lost): of a session that has
    just come back by its ticket, and counts what is typed."""
    daemon = own_daemon("MaxStartups 100", "LoginGraceTime 5")
    relay = Recorder(daemon.port)
    client = Client(tmp_path / "far", engines[0], "127.0.0.1", relay.port)
    client.known_hosts.write_text(f"[127.0.0.1]:{relay.port} {public(daemon.host_key)}\n")
    daemon.authorize(public(client.key))
    with client.start("host", "exec cat") as process:
        exchange(process, b"before\n")
        assert wait_until(lambda: tickets(daemon), PATIENCE)
        relay.captured.clear()
        for worker in named(daemon, "qshd-worker"):
            os.kill(worker, signal.SIGKILL)
        exchange(process, b"after\n")
        assert daemon.log.count("Accepted session-ticket@qsh") == 1
        yield daemon, process, list(relay.captured)
        process.kill()
    relay.close()


def exchange(process, line):
    process.stdin.write(line)
    process.stdin.flush()
    assert process.stdout.readline() == line


def replay(daemon, datagrams):
    """Send them all from another port; what comes back is read and dropped."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", daemon.port))
        sock.settimeout(0.2)
        for data in datagrams:
            sock.send(data)
            time.sleep(0.01)
        try:
            while sock.recv(65536):
                pass
        except OSError:  # silence
            return


@pytest.mark.parametrize("part", ["first flight", "whole connection"])
def test_a_captured_connection_does_nothing(resumed, part):
    daemon, process, captured = resumed
    initials = [at for at, data in enumerate(captured) if data[0] & 0xF0 == 0xC0]  # RFC 9000 17.2.2
    assert initials, "the resumption's handshake was captured"
    begin = initials[0]
    end = len(captured) if part == "whole connection" else begin + 6
    before = daemon.log.count("Accepted"), daemon.log.count("Attaching")
    connections = daemon.log.count("Connection from")
    for _ in range(3):
        replay(daemon, captured[begin:end])
    assert wait_until(lambda: daemon.log.count("Connection from") >= connections + 3, PATIENCE)
    exchange(process, b"still alone\n")  # no byte of input came twice
    assert (daemon.log.count("Accepted"), daemon.log.count("Attaching")) == before
    assert len(tickets(daemon)) == 1
