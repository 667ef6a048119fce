"""What is at both ends of forwards in the tests: echo servers, applications, free ports."""

import contextlib
import socket
import socketserver
import subprocess
import threading
import time

LOCALHOST = "127.0.0.1"
PATIENCE = 20.0


class _Echo(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 512


class EchoServer:
    """Sends back what it gets, on TCP, or on a Unix socket if `path` is given."""

    def __init__(self, path=None):
        self.server = _UnixServer(str(path), _Echo) if path else _TcpServer((LOCALHOST, 0), _Echo)

    @property
    def port(self):
        return self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class UdpEchoServer:
    """Sends every datagram back."""

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOCALHOST, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                data, address = self.socket.recvfrom(65535)
                self.socket.sendto(data, address)

    def __exit__(self, *_):
        self.socket.close()


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOCALHOST, 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(qsh, *arguments):
    """A qsh in the background; it is ended with the block."""
    process = qsh.start(*arguments, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        end(process)
        process.stderr.close()
        process.stdout.close()


def end(process):
    """End a program, with force if it does not listen."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_port(port, seconds=PATIENCE):
    """Until something listens there; that costs it one connection that says nothing."""
    connect(port, seconds).close()


def connect(port, seconds=PATIENCE):
    """A connection, as soon as something listens there."""
    end = time.monotonic() + seconds
    while True:
        try:
            sock = socket.create_connection((LOCALHOST, port))
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
            continue
        sock.settimeout(seconds)
        return sock


def exchange(port, data):
    """What comes back for this data, to the end."""
    with connect(port) as sock:
        sender = threading.Thread(target=_send, args=[sock, data], daemon=True)
        sender.start()
        return b"".join(iter(lambda: sock.recv(65536), b""))


def _send(sock, data):
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
