"""-L, -R and -D over real programs, with real servers behind them."""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.forward_peers import (
    LOCALHOST,
    EchoServer,
    connect,
    exchange,
    free_port,
    running,
    wait_for_port,
)

pytestmark = pytest.mark.one_pair


@pytest.fixture
def echo():
    with EchoServer() as server:
        yield server


def test_a_local_forward_is_byte_exact_and_keeps_half_close(qsh, echo):
    port = free_port()
    with running(qsh, "-N", "-L", f"{port}:{LOCALHOST}:{echo.port}", "host"):
        data = os.urandom(3_000_000)
        assert exchange(port, data) == data


def test_many_connections_at_once(qsh, echo):
    port = free_port()
    with running(qsh, "-N", "-L", f"{port}:{LOCALHOST}:{echo.port}", "host"):
        hold_many(port, 200)


@pytest.mark.slow
def test_a_thousand_connections_at_once(qsh, echo):
    port = free_port()
    with running(qsh, "-N", "-L", f"{port}:{LOCALHOST}:{echo.port}", "host"):
        hold_many(port, 1000)


def hold_many(port, count):
    """All are open before any is used; each gets back what it sent."""
    wait_for_port(port)
    connections = [socket.create_connection((LOCALHOST, port)) for _ in range(count)]

    def use(sock):
        data = os.urandom(50_000)
        with sock:
            sock.settimeout(60)
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return hashlib.sha256(data).digest() == hashlib.sha256(read_all(sock)).digest()

    with ThreadPoolExecutor(50) as threads:
        assert all(threads.map(use, connections))


def read_all(sock):
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_remote_forward_with_a_port_that_the_server_chooses(qsh, echo):
    with running(qsh, "-N", "-R", f"0:{LOCALHOST}:{echo.port}", "host") as process:
        line = process.stderr.readline().decode()
        assert line.startswith("qsh: Allocated port ")
        assert line.strip().endswith(f"for remote forward to {LOCALHOST}:{echo.port}")
        port = int(line.split()[3])
        assert exchange(port, b"hello") == b"hello"


def test_a_session_finds_its_remote_forward_in_place(qsh, echo):
    port = free_port()
    command = f"exec 3<>/dev/tcp/{LOCALHOST}/{port}; echo hello >&3; head -1 <&3"
    done = qsh("-R", f"{port}:{LOCALHOST}:{echo.port}", "host", f"bash -c '{command}'")
    assert (done.status, done.stdout, done.stderr) == (0, b"hello\n", "")


def test_forwards_from_the_configuration(qsh, echo):
    near, far = free_port(), free_port()
    qsh.configure(f"LocalForward {near} {LOCALHOST}:{echo.port}",
                  f"RemoteForward {far} {LOCALHOST}:{echo.port}")  # fmt: skip
    with running(qsh, "-N", "host"):
        assert exchange(near, b"near") == b"near"
        assert exchange(far, b"far") == b"far"


@pytest.mark.parametrize("proxy", ["socks5h", "socks5", "socks4a", "socks4"])
@pytest.mark.parametrize("letter", ["-D", "-R"])
def test_a_socks_proxy_with_curl(qsh, web, letter, proxy):
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    port = free_port()
    with running(qsh, "-N", letter, port, "host"):
        wait_for_port(port)
        name = "localhost" if proxy in ("socks5h", "socks4a") else LOCALHOST
        done = subprocess.run(
            ["curl", "-sS", "-x", f"{proxy}://{LOCALHOST}:{port}", f"http://{name}:{web}/"],
            capture_output=True, timeout=20,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == (b"a page\n", b"")


@pytest.fixture
def web(tmp_path):
    """The port of a real web server with one page."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "index.html").write_text("a page\n")
    port = free_port()
    server = subprocess.Popen(
        ["python3", "-m", "http.server", "-b", LOCALHOST, str(port)], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for_port(port)
    yield port
    server.terminate()
    server.wait()


def test_a_refused_target_is_refused_to_the_application_and_told(qsh):
    port, closed = free_port(), free_port()
    with running(qsh, "-N", "-L", f"{port}:{LOCALHOST}:{closed}", "host") as process:
        begin = time.monotonic()
        with connect(port) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert time.monotonic() - begin < 5
        line = process.stderr.readline().decode()
        assert line == f"qsh: {LOCALHOST} port {closed}: Connection refused\n"


def test_a_name_without_address_is_told(qsh):
    port = free_port()
    with running(qsh, "-N", "-L", f"{port}:no-such-name.invalid:80", "host") as process:
        with connect(port) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert b"no-such-name.invalid port 80: " in process.stderr.readline()


def test_what_the_far_end_breaks_off_is_broken_off_here(qsh):
    port = free_port()
    with socket.create_server((LOCALHOST, 0)) as server:
        target = f"{port}:{LOCALHOST}:{server.getsockname()[1]}"
        with running(qsh, "-N", "-L", target, "host"), connect(port) as sock:
            far, _ = server.accept()
            sock.sendall(b"x")
            assert far.recv(1) == b"x"
            far.sendall(b"last words")
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            far.close()
            assert sock.recv(20) == b"last words"
            with pytest.raises(ConnectionResetError):
                sock.recv(1)


def test_an_answer_before_the_end_of_the_question_is_not_lost(qsh):
    """As a web server does that refuses an upload: it answers, and closes with data unread."""
    port, answer = free_port(), os.urandom(500_000)

    def serve(server):
        far, _ = server.accept()
        with far:
            far.recv(1000)
            far.sendall(answer)
            far.shutdown(socket.SHUT_WR)
            time.sleep(0.5)

    with socket.create_server((LOCALHOST, 0)) as server:
        threading.Thread(target=serve, args=[server], daemon=True).start()
        target = f"{port}:{LOCALHOST}:{server.getsockname()[1]}"
        with running(qsh, "-N", "-L", target, "host"), connect(port) as sock:
            sock.sendall(bytes(2000))
            assert read_all(sock) == answer


@pytest.mark.slow
def test_a_reader_who_stops_stalls_nobody_and_costs_little(qsh, echo):
    """200 MB wait for a reader that has stopped; another connection goes on."""
    port, source = free_port(), socket.create_server((LOCALHOST, 0))
    threading.Thread(target=pour, args=[source, 200_000_000], daemon=True).start()
    forwards = ["-L", f"{port}:{LOCALHOST}:{source.getsockname()[1]}",
                "-L", f"{port + 1}:{LOCALHOST}:{echo.port}"]  # fmt: skip
    with running(qsh, "-N", *forwards, "host") as process, connect(port) as stopped:
        assert stopped.recv(1)
        time.sleep(3)
        begin = time.monotonic()
        assert exchange(port + 1, bytes(1_000_000)) == bytes(1_000_000)
        assert time.monotonic() - begin < 10
        assert resident_megabytes(process.pid) < 150


def pour(source, count):
    sock, _ = source.accept()
    with sock, contextlib.suppress(ConnectionError):  # the test ends before it does
        for _ in range(count // 100_000):
            sock.sendall(bytes(100_000))


def resident_megabytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def test_a_session_waits_for_its_forwarded_connections(qsh, echo):
    """As ssh does: the command is over, the connection through it is not."""
    port = free_port()
    with running(qsh, "-L", f"{port}:{LOCALHOST}:{echo.port}", "host", "sleep 2") as process:
        with connect(port) as sock:
            sock.sendall(b"before")
            assert sock.recv(100) == b"before"
            time.sleep(3)
            assert process.poll() is None
            sock.sendall(b"after")
            assert sock.recv(100) == b"after"
        assert process.wait(10) == 0


class TestFailures:
    def test_a_port_in_use_is_told_and_the_command_runs(self, qsh):
        with socket.create_server((LOCALHOST, 0)) as taken:
            port = taken.getsockname()[1]
            done = qsh("-L", f"{LOCALHOST}:{port}:h:1", "host", "echo ran")
        assert (done.status, done.stdout) == (0, b"ran\n")
        assert done.stderr == f"qsh: cannot listen on {LOCALHOST}:{port}: Address already in use\n"

    @pytest.mark.parametrize("letter", ["-L", "-R"])
    def test_or_ends_it_all(self, qsh, letter):
        with socket.create_server((LOCALHOST, 0)) as taken:
            port = taken.getsockname()[1]
            done = qsh("-o", "ExitOnForwardFailure=yes", letter, f"{LOCALHOST}:{port}:h:1", "host",
                       "sleep 20", timeout=15)  # fmt: skip
        assert done.status == 255
        assert "listen on" in done.stderr

    def test_forwards_can_be_cleared(self, qsh):
        qsh.configure("LocalForward 1 h:1", "ClearAllForwardings yes")
        assert qsh("host", "true").stderr == ""

    @pytest.mark.parametrize("words", [["-L", "x"], ["-D", "0"], ["-R", "a:b:c:d:e"]])
    def test_what_is_no_forward_is_told(self, qsh, words):
        done = qsh(*words, "host", "true")
        assert done.status == 255
        assert done.stderr.startswith(f"qsh: {' '.join(words)}: ")
