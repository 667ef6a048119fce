"""A monitor and its listeners: the first one, and the one after that."""

import os
import socket
import threading

import pytest

from qsh.server import run_directory
from qsh.server.accounts.environment import Peers
from qsh.server.listener import link as link_module
from qsh.server.listener.adoption import is_ours
from qsh.server.listener.link import (
    ADOPT,
    ANSWER,
    CONNECT,
    HELLO,
    LOGGED_IN,
    RELAY,
    ListenerLink,
    own_network,
)
from qsh.server.listener.relay import decode_relayed

PEERS = Peers(("192.0.2.1", 4242), ("198.51.100.1", 22))


def pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Linked:
    """A monitor's link; `listener` is the first listener's end."""

    def __init__(self, folder):
        self.listener, report = pair()
        self.listeners_relay, self.worker = pair()
        self.link = ListenerLink(7, PEERS, report, self.listeners_relay.dup(), folder)
        self.link.open_door()


@pytest.fixture
def folder(tmp_path):
    return run_directory.open_folder("connections", str(tmp_path / "run"))


@pytest.fixture
def linked(folder):
    return Linked(folder)


def answer(linked, address, *, before=()):
    """Be the listener: wait for the question about the address, tell what is to come `before` its
    answer (number of the question → address of the socket), and answer with a socket that is
    bound to the same address on loopback, so that it can be told from others."""
    told = linked.listener.recv(256)
    assert told[:1] == CONNECT
    number, remote = decode_relayed(told[1:])
    assert remote == address
    for stale in before:
        send_socket(linked, stale.to_bytes(4, "big"), "127.0.0.9")
    send_socket(linked, number, "127.0.0.1")


def send_socket(linked, number, host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        socket.send_fds(linked.listener, [ANSWER + number], [sock.fileno()])


def ask(linked, address, **answering):
    """The socket that the link gives while the listener answers in a thread."""
    thread = threading.Thread(target=answer, args=(linked, address), kwargs=answering)
    thread.start()
    sock = linked.link.connect(*address)
    thread.join()
    return sock


def test_the_listener_is_asked_for_a_socket(linked):
    with ask(linked, ("198.51.100.7", 4000)) as sock:
        assert sock.type == socket.SOCK_DGRAM


def test_a_listener_that_gives_none_or_is_gone(linked):
    linked.listener.send(ANSWER + b"\0\0\0\1")
    assert linked.link.connect("198.51.100.7", 4000) is None
    linked.listener.close()
    assert linked.link.connect("198.51.100.7", 4000) is None
    linked.link.tell(LOGGED_IN)  # nobody is there, and that is no error


def test_a_late_answer_is_not_taken_for_the_next(linked, monkeypatch):
    """It brings a socket that is connected to another address."""
    monkeypatch.setattr(link_module, "PATIENCE", 0.05)
    assert linked.link.connect("198.51.100.7", 4000) is None  # nobody answers in time
    linked.listener.recv(256)
    monkeypatch.setattr(link_module, "PATIENCE", 20.0)
    with ask(linked, ("198.51.100.8", 4000), before=(1,)) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"


def test_no_port_number_is_too_wild(linked):
    assert linked.link.connect("198.51.100.7", 1 << 20) is None


def adopt(linked, folder, meanwhile=b""):
    """Be the next listener: what the monitor says, and the relay. `meanwhile` is what it tells
    before it hears that it is taken over."""
    (name,) = os.listdir(folder)
    sock = run_directory.connect_socket(folder, name)
    caller = linked.link.greet()
    hello = HELLO.decode(sock.recv(512))
    sock.send(ADOPT)
    linked.link.tell(meanwhile)
    linked.link.answer(caller)
    told, descriptors, _, _ = socket.recv_fds(sock, 16, 1)
    assert told == RELAY
    return sock, hello, socket.socket(fileno=descriptors[0])


def test_the_next_listener_finds_it_and_takes_over(linked, folder):
    linked.link.tell(LOGGED_IN)
    assert linked.listener.recv(10) == LOGGED_IN
    linked.listener.close()
    linked.listeners_relay.close()
    sock, hello, relay = adopt(linked, folder)
    assert hello.worker == 7
    assert hello.peers == PEERS
    assert hello.is_logged_in
    assert hello.network == own_network()
    linked.worker.send(b"from the worker")
    assert relay.recv(100) == b"from the worker"
    assert sock.recv(10) == LOGGED_IN  # once more, in case it is since then
    linked.link.tell(b"news")
    assert sock.recv(10) == b"news"


def test_a_login_while_it_is_taken_over(linked, folder):
    """Else the connection would count for MaxStartups until its end."""
    linked.listener.close()
    sock, hello, _ = adopt(linked, folder, meanwhile=LOGGED_IN)
    assert not hello.is_logged_in
    sock.settimeout(10)
    assert sock.recv(10) == LOGGED_IN


def test_whoever_only_looks_changes_nothing(linked, folder):
    (name,) = os.listdir(folder)
    sock = run_directory.connect_socket(folder, name)
    caller = linked.link.greet()
    sock.close()
    linked.link.answer(caller)
    linked.link.tell(b"news")
    assert linked.listener.recv(10) == b"news"


def test_its_door_goes_with_it(linked, folder):
    linked.link.close()
    assert os.listdir(folder) == []


def test_without_a_place_it_lives_on():
    linked = Linked("")
    assert linked.link.door is None
    linked.link.close()


@pytest.mark.parametrize(
    ("listening", "network", "ours"),
    [
        ([("198.51.100.1", 22)], 1, True),
        ([("0.0.0.0", 22)], 1, True),
        ([("::", 22), ("198.51.100.2", 22)], 1, True),
        ([("198.51.100.2", 22)], 1, False),
        ([("198.51.100.1", 2222)], 1, False),
        ([("198.51.100.1", 22)], 2, False),
        ([], 1, False),
    ],
)
def test_whose_connection_it_is(linked, folder, listening, network, ours):
    (name,) = os.listdir(folder)
    sock = run_directory.connect_socket(folder, name)
    linked.link.greet()
    hello = HELLO.decode(sock.recv(512))
    hello = type(hello)(**{f: getattr(hello, f) for f in hello.__slots__} | {"network": 1})
    assert is_ours(hello, listening, network) is ours
