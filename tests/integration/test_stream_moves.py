"""A live session whose UDP stops getting through goes on by TcpPort, and back."""

import os
import select
import signal
import time
from pathlib import Path

import pytest

from tests.integration.forward_peers import free_port, wait_for_port
from tests.integration.relay import Relay

PAYLOAD = bytes(range(256)) * 8000


class Talk:
    """A session with `cat` over a UDP path that can be cut; messages are read as they come."""

    def __init__(self, process, log):
        self.process, self._log = process, log

    def echo(self, data, seconds=60):
        """Say it, and take back as much; what came."""
        end, found, sent = time.monotonic() + seconds, b"", 0
        os.set_blocking(self.process.stdin.fileno(), False)
        while len(found) < len(data) and time.monotonic() < end:
            outs = [self.process.stdin] if sent < len(data) else []
            ready, writable, _ = select.select([self.process.stdout], outs, [], 1)
            if writable:
                sent += os.write(self.process.stdin.fileno(), data[sent : sent + 65536])
            if ready:
                found += os.read(self.process.stdout.fileno(), 65536)
        return found

    def wait_for(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self._log.read_text() and time.monotonic() < end:
            time.sleep(0.1)
        return text in self._log.read_text()


@pytest.fixture
def moving(own_daemon, new_client, tmp_path):
    """A session that began by UDP, and the relay on its way."""
    tcp = free_port()
    daemon = own_daemon(f"TcpPort {tcp}")
    relay, client = Relay(daemon.port), new_client(daemon)
    known = client.known_hosts.read_text().replace(str(daemon.port), str(relay.port))
    client.known_hosts.write_text(known)
    client.configure(f"Port {relay.port}", f"TcpPort {tcp}", "FallbackToSsh no")
    wait_for_port(tcp)
    log = tmp_path / "log"
    with client.start("-v", "-E", log, "host", "echo $$; exec cat", bufsize=0) as process:
        yield Talk(process, log), relay, daemon
        process.kill()
    relay.close()


class TestMoves:
    def test_a_session_goes_on_by_a_stream_and_comes_back_without_losing_a_byte(self, moving):
        talk, relay, daemon = moving
        shell = talk.process.stdout.readline()
        assert talk.echo(PAYLOAD) == PAYLOAD
        relay.is_cut = True
        assert talk.echo(PAYLOAD[::-1]) == PAYLOAD[::-1]
        assert talk.wait_for("going on by a stream")
        relay.is_cut = False
        assert talk.wait_for("leaving the stream")
        count = len(relay.down)
        assert talk.echo(PAYLOAD) == PAYLOAD
        assert sum(relay.down[count:]) > len(PAYLOAD) // 2
        assert daemon.log.count("Accepted publickey") == 1
        assert shell.strip().isdigit()

    @pytest.mark.one_pair
    def test_where_the_stream_breaks_udp_is_tried_at_once(self, moving, tmp_path):
        talk, relay, daemon = moving
        talk.process.stdout.readline()
        relay.is_cut = True
        assert talk.echo(b"one") == b"one"
        relay.is_cut = False
        break_streams(daemon)
        assert talk.echo(b"two") == b"two"
        assert daemon.log.count("Accepted publickey") == 1


def break_streams(daemon):
    """Kill the process that holds TcpPort."""
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text()
    for pid in children.split():
        if Path(f"/proc/{pid}/comm").read_text().strip() == "qshd-relay":
            os.kill(int(pid), signal.SIGKILL)
