"""UDP forwards and SOCKS 5's UDP ASSOCIATE, with a DNS question as a real client asks it."""

import os
import socket
import struct
import threading
import time

import pytest

from qsh.forward.socks_wire import UdpDatagram, decode_udp, encode_udp
from tests.integration.forward_peers import (
    LOCALHOST,
    UdpEchoServer,
    connect,
    free_port,
    running,
    wait_for_port,
)

pytestmark = pytest.mark.one_pair


@pytest.fixture
def echo():
    with UdpEchoServer() as server:
        yield server


@pytest.fixture
def name_server():
    """Answers every question for an address with 192.0.2.7; its port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOCALHOST, 0))

    def serve():
        while True:
            try:
                query, client = sock.recvfrom(512)
            except OSError:
                return
            if not query:
                return
            question = query[12:]
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
            answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes((192, 0, 2, 7))
            sock.sendto(head + question + answer, client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield sock.getsockname()[1]
    sock.sendto(b"", sock.getsockname())
    thread.join(5)
    sock.close()


QUERY = struct.pack("!HHHHHH", 0xBEEF, 0x0100, 1, 0, 0, 0) + b"\7example\3net\0" + b"\0\1\0\1"


def application():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOCALHOST, 0))
    sock.settimeout(1)
    return sock


def ask(sock, address, data, tries=20):
    """The answer to a datagram, which is sent again until there is one."""
    for _ in range(tries):
        sock.sendto(data, address)
        try:
            return sock.recv(65535)
        except (TimeoutError, ConnectionRefusedError):
            time.sleep(0.05)
    raise AssertionError("no answer")


@pytest.mark.parametrize("letter", ["-L", "-R"])
def test_a_name_server_through_a_forward(qsh, name_server, letter):
    port = free_port(socket.SOCK_DGRAM)
    spec = f"udp/{port}:{LOCALHOST}:{name_server}"
    with running(qsh, "-N", letter, spec, "host"), application() as sock:
        answer = ask(sock, (LOCALHOST, port), QUERY)
        assert answer[:2] == QUERY[:2]
        assert answer.endswith(bytes((192, 0, 2, 7)))


def test_each_application_is_a_flow_of_its_own_and_sizes_do_not_matter(qsh, echo):
    port = free_port(socket.SOCK_DGRAM)
    with running(qsh, "-N", "-L", f"udp/{port}:{LOCALHOST}:{echo.port}", "host"):
        for size in (0, 1, 500, 1200, 8000, 60_000):
            with application() as sock:
                data = os.urandom(size)
                assert ask(sock, (LOCALHOST, port), data) == data


def test_a_remote_udp_forward_tells_its_port(qsh, echo):
    spec = f"udp/0:{LOCALHOST}:{echo.port}"
    with running(qsh, "-N", "-R", spec, "host") as process, application() as sock:
        line = process.stderr.readline().decode()
        port = int(line.split("Allocated port ")[1].split()[0])
        assert ask(sock, (LOCALHOST, port), b"hello") == b"hello"


@pytest.mark.parametrize("name", [LOCALHOST, "localhost"])
def test_socks_associate(qsh, name_server, echo, name):
    port = free_port()
    with running(qsh, "-N", "-D", port, "host"):
        wait_for_port(port)
        with connect(port) as control, application() as sock:
            relay = associate(control)
            for target, data in ((name_server, QUERY), (echo.port, b"hello")):
                packed = ask(sock, relay, encode_udp(UdpDatagram(name, target, data)))
                answer = decode_udp(packed)
                assert (answer.host, answer.port) == (name, target)
                assert answer.payload == data or answer.payload[:2] == data[:2]


def test_an_association_is_for_one_application_and_ends_with_its_connection(qsh, echo):
    port = free_port()
    with running(qsh, "-N", "-D", port, "host"):
        wait_for_port(port)
        with connect(port) as control, application() as sock, application() as stranger:
            relay = associate(control)
            question = encode_udp(UdpDatagram(LOCALHOST, echo.port, b"x"))
            ask(sock, relay, question)
            stranger.sendto(question, relay)
            with pytest.raises(TimeoutError):
                stranger.recv(100)
            control.close()
            time.sleep(0.3)
            with pytest.raises((TimeoutError, ConnectionRefusedError)):
                while True:
                    sock.sendto(question, relay)
                    sock.recv(100)


def associate(control):
    """Ask for an association; the address to send to."""
    control.sendall(b"\5\1\0" + b"\5\3\0\1" + bytes(6))
    reply = b""
    while len(reply) < 12:
        reply += control.recv(100)
    assert reply[:4] == b"\5\0\5\0"
    return socket.inet_ntoa(reply[6:10]), int.from_bytes(reply[10:12], "big")
