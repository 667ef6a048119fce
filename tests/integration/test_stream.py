"""Where UDP does not get through: TLS on TcpPort carries the same connection."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from qsh.server.worker.client_moves import STREAM_PATIENCE
from tests.integration.forward_peers import free_port, wait_for_port

PAYLOAD = bytes(range(256)) * 8000


@pytest.fixture
def streaming(own_daemon, new_client):
    """A daemon with a TcpPort, and a client that knows it and whose UDP goes nowhere."""
    tcp = free_port()
    daemon = own_daemon(f"TcpPort {tcp}")
    client = new_client(daemon)
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("127.0.0.1", 0))
    port = mute.getsockname()[1]
    client.known_hosts.write_text(
        client.known_hosts.read_text().replace(str(daemon.port), str(port))
    )
    client.configure(f"Port {port}", f"TcpPort {tcp}", "FallbackToSsh no")
    wait_for_port(tcp)
    yield client, daemon, tcp
    mute.close()


class TestStream:
    def test_the_connection_comes_by_tcp(self, streaming):
        client, daemon, _ = streaming
        start = time.monotonic()
        done = client("host", "cat; exit 7", stdin=PAYLOAD)
        assert (done.status, done.stdout) == (7, PAYLOAD), done.stderr
        assert time.monotonic() - start < 10
        assert "Accepted publickey" in daemon.log

    @pytest.mark.one_pair
    def test_the_client_is_known_by_its_own_address(self, streaming):
        client, daemon, _ = streaming
        key = client.key.with_suffix(".pub").read_text().strip()
        daemon.authorize(f'from="127.0.0.1" {key}')
        assert client("host", "echo $SSH_CLIENT").stdout.startswith(b"127.0.0.1 ")
        daemon.authorize(f'from="192.0.2.1" {key}')
        assert client("-o", "BatchMode=yes", "host", "true").status == 255

    @pytest.mark.one_pair
    def test_a_client_that_is_killed_is_gone_soon(self, streaming):
        client, daemon, _ = streaming
        with client.start("host", "echo up; read x") as process:
            assert process.stdout.readline() == b"up\n"
            begin = time.monotonic()
            process.kill()
        assert daemon.wait_for_log("the client's stream is over", 10)
        assert daemon.wait_for_log(" lost: ", 40)
        assert STREAM_PATIENCE - 1 < time.monotonic() - begin < 15

    @pytest.mark.one_pair
    def test_a_stream_that_a_proxy_cuts_is_dialled_anew(self, streaming):
        client, daemon, tcp = streaming
        with Cutter(tcp) as proxy:
            client.configure(*(f"{name} {value}" for name, value in (
                ("Port", _port_in(client)), ("TcpPort", proxy.port), ("FallbackToSsh", "no"))))
            with client.start("host", "echo up; cat", bufsize=0) as process:
                assert process.stdout.readline() == b"up\n"
                proxy.cut()
                assert daemon.wait_for_log("the client's stream is over", 10)
                assert process.communicate(b"still here", timeout=40)[0] == b"still here"
        assert daemon.log.count("Accepted publickey") == 1

    @pytest.mark.one_pair
    def test_strangers_get_nothing(self, streaming):
        client, _, tcp = streaming
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for junk in (b"\0\0", b"GET / HTTP/1.0\r\n\r\n", bytes(2000), b"\4\xb0" + bytes(1200)):
            with context.wrap_socket(socket.create_connection(("127.0.0.1", tcp))) as sock:
                sock.sendall(junk)
        with socket.create_connection(("127.0.0.1", tcp)) as sock:
            sock.sendall(b"SSH-2.0-x\r\n")
        assert client("host", "echo fine").stdout == b"fine\n"

    @pytest.mark.one_pair
    def test_a_source_that_knocks_and_says_nothing_is_turned_away(self, own_daemon, new_client):
        """Before TLS, and by the same limits as over UDP; others are served."""
        tcp = free_port()
        daemon = own_daemon(f"TcpPort {tcp}", "MaxStartups 3:100:3", "PerSourceMaxStartups 2",
                            "PerSourceNetBlockSize 32:128")  # fmt: skip
        wait_for_port(tcp)
        assert daemon.wait_for_log("a stream ends")  # that look counts no more
        knocking = [socket.create_connection(("127.0.0.1", tcp)) for _ in range(2)]
        with socket.create_connection(("127.0.0.1", tcp), timeout=20) as third:
            assert _is_cut(third)
        assert daemon.wait_for_log("past per-source limit")
        with socket.create_connection(("127.0.0.1", tcp), 20, ("127.7.0.1", 0)) as other:
            with socket.create_connection(("127.0.0.1", tcp), 20, ("127.7.0.2", 0)) as fourth:
                assert _is_cut(fourth)
            other.settimeout(0.5)
            with pytest.raises(TimeoutError):
                other.recv(1)
        assert daemon.wait_for_log("past Maxstartups")
        for sock in knocking:
            sock.close()
        assert new_client(daemon)("host", "echo fine").stdout == b"fine\n"

    @pytest.mark.one_pair
    def test_udp_goes_first_where_it_works(self, own_daemon, new_client):
        tcp = free_port()
        client = new_client(own_daemon(f"TcpPort {tcp}"))
        done = client("-v", "-o", f"TcpPort={tcp}", "host", "echo x")
        assert done.stdout == b"x\n"
        assert "stream" not in done.stderr

    @pytest.mark.one_pair
    @pytest.mark.skipif(not shutil.which("haproxy"), reason="needs haproxy")
    def test_haproxy_routes_it_by_its_name(self, streaming, tmp_path):
        client, _, tcp = streaming
        front = free_port()
        config = tmp_path / "haproxy.cfg"
        config.write_text(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n"
            "  timeout server 1m\n"
            f"frontend tls\n  bind 127.0.0.1:{front}\n  tcp-request inspect-delay 5s\n"
            "  tcp-request content accept if { req.ssl_hello_type 1 }\n"
            "  use_backend qsh if { req.ssl_sni -i localhost }\n"
            f"backend qsh\n  server qshd 127.0.0.1:{tcp}\n"
        )
        process = subprocess.Popen(["haproxy", "-db", "-q", "-f", config])
        try:
            wait_for_port(front)
            known = client.known_hosts.read_text().replace("[127.0.0.1]", "[localhost]")
            client.known_hosts.write_text(known)
            done = client("-4", "-o", "HostName=localhost", "-o", f"TcpPort={front}", "host",
                          "echo routed")  # fmt: skip
            assert done.stdout == b"routed\n", done.stderr
        finally:
            process.terminate()
            process.wait()


def _port_in(client):
    return client.config.read_text().partition("Port ")[2].split()[0]


class Cutter:
    """A TCP proxy to a port of this machine that cuts what passes through it when told to."""

    def __init__(self, target):
        self._target, self._sockets = target, []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listening.close()
        self.cut()

    def cut(self):
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                ends = self._listening.accept()[0], socket.create_connection(
                    ("127.0.0.1", self._target))
                self._sockets.extend(ends)
                for one, other in (ends, ends[::-1]):
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)


def _is_cut(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
