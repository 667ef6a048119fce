"""By way of others: ProxyJump through qshd hosts, ProxyCommand, ProxyUseFdpass."""

import os
import socket
import subprocess
import sys
import time

import pytest

from tests.integration.forward_peers import free_port
from tests.integration.harness import USER, public
from tests.integration.test_bootstrap import SSHD
from tests.integration.test_bootstrap import Host as Sshd

FDPASS = """
import array, socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect((sys.argv[1], int(sys.argv[2])))
socket.send_fds(socket.socket(fileno=1), [b"x"], [sock.fileno()])
"""
CARRY = """
import select, socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect((sys.argv[1], int(sys.argv[2])))
stream = socket.socket(fileno=0)
buffer = b""
while True:
    for ready in select.select([udp, stream], [], [])[0]:
        if ready is udp:
            data = udp.recv(65535)
            stream.sendall(len(data).to_bytes(2, "big") + data)
            continue
        data = stream.recv(65535)
        if not data:
            sys.exit()
        buffer += data
        while len(buffer) > 1 and len(buffer) >= 2 + int.from_bytes(buffer[:2], "big"):
            size = int.from_bytes(buffer[:2], "big")
            udp.send(buffer[2 : 2 + size])
            buffer = buffer[2 + size :]
"""
PAYLOAD = bytes(range(256)) * 8000


@pytest.fixture
def way(own_daemon, new_client):
    """Daemons on a way of so many hops, and a client whose config names them hop0, hop1, …, and
    the last `host`."""

    def make(hops, *settings, prefix=()):
        daemons = [own_daemon(*settings, prefix=prefix) for _ in range(hops)]
        daemons.append(own_daemon(prefix=prefix))
        client = new_client(daemons[-1])
        client.prefix = prefix
        key = f"IdentityFile {client.key}"
        known = []
        for number, daemon in enumerate(daemons):
            daemon.authorize(client.key.with_suffix(".pub").read_text().strip())
            known.append(daemon.known_hosts_line())
            with client.config.open("a") as config:
                config.write(
                    f"Host hop{number}\n  HostName {daemon.address}\n  Port {daemon.port}\n"
                    f"  User {USER}\n  {key}\n  IdentitiesOnly yes\n"
                    f"  UserKnownHostsFile {client.known_hosts}\n"
                    "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
                )
        client.known_hosts.write_text("\n".join(known) + "\n")
        return client, daemons

    return make


@pytest.fixture
def narrow():
    """What enters a network of its own whose loopback takes packets of so many bytes: narrow(1280).
    For root only."""
    started = []

    def make(mtu):
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", f"ip link set lo mtu {mtu} up && echo && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout.readline() == b"\n"
        started.append(process)
        return ("nsenter", f"--net=/proc/{process.pid}/ns/net")

    yield make
    for process in started:
        process.communicate()


class TestJump:
    def test_through_one_host(self, way):
        client, (hop, last) = way(1)
        done = client("-J", "hop0", "host", "cat; exit 7", stdin=PAYLOAD)
        assert (done.status, done.stdout) == (7, PAYLOAD), done.stderr
        assert "Accepted publickey" in hop.log
        assert "Starting session" not in hop.log
        assert "Starting session" in last.log

    @pytest.mark.one_pair
    @pytest.mark.parametrize("hops", [3, 5])
    def test_through_many_hosts(self, way, hops):
        client, daemons = way(hops)
        names = ",".join(f"hop{number}" for number in range(hops))
        payload = PAYLOAD[: 600_000 // hops]  # aioquic does each hop's work in Python
        done = client("-J", names, "host", "cat", stdin=payload, timeout=90)
        assert (done.status, done.stdout) == (0, payload), done.stderr
        assert all("Accepted publickey" in daemon.log for daemon in daemons)

    @pytest.mark.root
    @pytest.mark.parametrize("mtu", [1280, 1500])
    def test_datagrams_in_datagrams_where_the_path_is_narrow(self, way, narrow, mtu):
        """Each hop leaves less room for the next one's; what has none goes by a stream."""
        client, _ = way(3, prefix=narrow(mtu))
        payload = PAYLOAD[:300_000]
        done = client("-J", "hop0,hop1,hop2", "host", "cat", stdin=payload, timeout=90)
        assert (done.status, done.stdout) == (0, payload), done.stderr

    @pytest.mark.one_pair
    def test_nothing_stays_behind(self, way):
        client, daemons = way(1)
        assert client("-J", "hop0", "host", "true").status == 0
        for daemon in daemons:
            assert daemon.wait_for_log("Disconnected from user")

    @pytest.mark.one_pair
    def test_a_host_that_forbids_it_is_named(self, way):
        client, _ = way(1, "AllowTcpForwarding no")
        start = time.monotonic()
        done = client("-J", "hop0", "host", "true")
        assert done.status == 255
        assert "jump host opens no way" in done.stderr
        assert time.monotonic() - start < 10

    @pytest.mark.one_pair
    def test_a_host_that_does_not_know_us_is_told_apart_from_the_last(self, way):
        client, (hop, _) = way(1)
        hop.authorize()
        done = client("-o", "BatchMode=yes", "-J", "hop0", "host", "true")
        assert done.status == 255
        assert "hop0: permission denied" in done.stderr

    @pytest.mark.one_pair
    def test_the_last_hosts_key_is_checked_here(self, way):
        client, (hop, _) = way(1)
        client.known_hosts.write_text(hop.known_hosts_line() + "\n")
        done = client("-J", "hop0", "host", "true")
        assert done.status == 255
        assert "host key" in done.stderr.lower()


@pytest.mark.one_pair
class TestStreams:
    """Where datagrams do not get through, or the host on the way has no qshd."""

    def test_a_stream_leads_on_where_udp_does_not(self, way, own_daemon):
        client, (hop, _) = way(1)
        tcp = free_port()
        last = own_daemon(f"TcpPort {tcp}")
        last.authorize(public(client.key))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.1", 0))
            port = mute.getsockname()[1]
            known = last.known_hosts_line().replace(str(last.port), str(port))
            client.known_hosts.write_text(f"{hop.known_hosts_line()}\n{known}\n")
            done = client("-J", "hop0", "-p", port, "-o", f"TcpPort={tcp}", "host",
                          "cat; exit 7", stdin=PAYLOAD)  # fmt: skip
        assert (done.status, done.stdout) == (7, PAYLOAD), done.stderr
        assert "Accepted publickey" in last.log

    @pytest.mark.skipif(not os.access(SSHD, os.X_OK), reason="needs OpenSSH's sshd")
    def test_a_jump_host_may_be_a_plain_sshd(self, own_daemon, new_client, tmp_path):
        tcp = free_port()
        last = own_daemon(f"TcpPort {tcp}")
        client = new_client(last)
        host = Sshd(tmp_path / "sshd", client.key)
        try:
            known = client.known_hosts.read_text()
            client.known_hosts.write_text(f"{known}{host.known_hosts_line}\n")
            client.configure(f"TcpPort {tcp}")
            with client.config.open("a") as config:
                config.write(
                    f"Host gate\n  HostName 127.0.0.1\n  Port {host.port}\n  User {USER}\n"
                    f"  IdentityFile {client.key}\n  IdentitiesOnly yes\n"
                    f"  UserKnownHostsFile {client.known_hosts}\n"
                    "Match all\n  IgnoreUnknown TcpPort\n"
                )
            done = client("-J", "gate", "host", "cat; exit 7", stdin=PAYLOAD)
            assert (done.status, done.stdout) == (7, PAYLOAD), done.stderr
            assert "Accepted publickey" in last.log
            done = client("-o", "TcpPort=none", "-J", "gate", "host", "true")
            assert done.status == 255
            assert "TcpPort is none" in done.stderr
        finally:
            host.stop()

    @pytest.mark.one_pair
    @pytest.mark.skipif(not os.access(SSHD, os.X_OK), reason="needs OpenSSH's sshd")
    def test_behind_a_jump_host_there_may_be_a_plain_sshd(self, way, tmp_path):
        """ssh takes over, and goes by qsh to a jump host that has no sshd."""
        client, (hop, _) = way(1)
        host = Sshd(tmp_path / "sshd", client.key)
        program = tmp_path / "qsh"
        program.write_text(f"#!{sys.executable}\nfrom qsh.client.main import main\nmain()\n")
        program.chmod(0o755)
        client.program = (str(program),)
        try:
            client.known_hosts.write_text(f"{hop.known_hosts_line()}\n{host.known_hosts_line}\n")
            client.configure(f"Port {host.port}", "ProxyJump hop0")
            with client.config.open("a") as config:
                config.write(
                    f"Host hop0\n  HostName {hop.address}\n  Port {hop.port}\n  User {USER}\n"
                    f"  IdentityFile {client.key}\n  UserKnownHostsFile {client.known_hosts}\n")
            done = client("host", "cat; exit 7", stdin=PAYLOAD, timeout=60)
            assert (done.status, done.stdout) == (7, PAYLOAD), done.stderr
            assert hop.log.count("Accepted publickey") == 2
            done = client("-o", "FallbackToSsh=no", "-o", "ConnectTimeout=3", "host", "true")
            assert done.status == 255
            assert "nothing answers" in done.stderr
        finally:
            host.stop()


@pytest.mark.one_pair
class TestProxyCommand:
    @pytest.fixture
    def carry(self, tmp_path):
        script = tmp_path / "carry.py"
        script.write_text(CARRY)
        return f"{sys.executable} {script} %h %p"

    def test_packets_go_by_its_input_and_output(self, qsh, carry):
        done = qsh("-o", f"ProxyCommand={carry}", "host", "cat; exit 3", stdin=PAYLOAD)
        assert (done.status, done.stdout) == (3, PAYLOAD), done.stderr

    def test_qshd_i_is_the_other_end(self, qsh, daemon):
        command = " ".join([sys.executable, "-m", "qsh.server", "-i", "-e", "-f",
                            str(daemon.folder / "config_i")])  # fmt: skip
        (daemon.folder / "config_i").write_text(
            f"HostKey {daemon.host_key}\nAuthorizedKeysFile {daemon.authorized_keys}\n"
            "StrictModes no\n"
        )
        for way in (command, f"cat | {command} | cat"):  # a socket, and pipes
            done = qsh("-o", f"ProxyCommand=sh -c '{way} 2>{daemon.folder}/log_i'", "host",
                       "cat; exit 3", stdin=PAYLOAD)  # fmt: skip
            assert (done.status, done.stdout) == (3, PAYLOAD), done.stderr

    def test_one_that_ends_is_told_at_once(self, qsh):
        start = time.monotonic()
        done = qsh("-o", "ProxyCommand=echo no >&2", "host", "true")
        assert done.status == 255
        assert "no\n" in done.stderr
        assert "ProxyCommand is over" in done.stderr
        assert time.monotonic() - start < 8

    def test_one_that_speaks_something_else_is_told(self, qsh):
        done = qsh("-o", "ProxyCommand=head -c 100 /dev/zero; sleep 5", "host", "true")
        assert done.status == 255
        assert "no QUIC" in done.stderr

    def test_it_may_pass_a_udp_socket(self, qsh, tmp_path):
        script = tmp_path / "pass.py"
        script.write_text(FDPASS)
        done = qsh("-o", f"ProxyCommand={sys.executable} {script} %h %p",
                   "-o", "ProxyUseFdpass=yes", "host", "cat", stdin=PAYLOAD)  # fmt: skip
        assert (done.status, done.stdout) == (0, PAYLOAD), done.stderr

    def test_the_first_of_two_ways_counts(self, qsh, carry):
        done = qsh("-o", "ProxyJump=none", "-o", "ProxyCommand=false", "host", "echo straight")
        assert done.stdout == b"straight\n", done.stderr
