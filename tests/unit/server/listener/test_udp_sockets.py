import socket

import pytest

from qsh.config.server_settings import ListenAddress, ServerSettings
from qsh.errors import NetworkError
from qsh.server.listener.udp_sockets import connect_to, open_listeners, open_socket, plain, receive


def settings(*hosts, family="any", port=0):
    addresses = tuple(ListenAddress(host, port) for host in hosts)
    return ServerSettings(listen_addresses=addresses, address_family=family)


@pytest.fixture
def listen():
    opened = []

    def start(*arguments, **options):
        opened.extend(open_listeners(settings(*arguments, **options)))
        return opened

    yield start
    for sock in opened:
        sock.close()


def client_of(sock, host):
    client = socket.socket(sock.family, socket.SOCK_DGRAM)
    client.connect((host, sock.getsockname()[1]))
    client.settimeout(5)
    return client


def wait_for(sock):
    sock.setblocking(True)
    sock.recv(1, socket.MSG_PEEK)
    sock.setblocking(False)
    return list(receive(sock, 10))


def test_all_addresses_have_one_port(listen):
    sockets = listen("")
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    assert {sock.family for sock in sockets} <= {socket.AF_INET, socket.AF_INET6}


def test_family(listen):
    assert [sock.family for sock in listen("", family="inet")] == [socket.AF_INET]


def test_what_cannot_be_had(listen):
    with pytest.raises(NetworkError, match="bad ListenAddress"):
        listen("no such host")
    with pytest.raises(NetworkError, match="no address"):
        listen("::1", family="inet")
    with pytest.raises(NetworkError, match=r"cannot listen on 192\.0\.2\.1 port"):
        listen("192.0.2.1")


def test_a_taken_port_is_an_error(listen):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NetworkError, match="Address already in use"):
            listen("127.0.0.1", port=taken.getsockname()[1])


@pytest.mark.parametrize(("wildcard", "host"), [("0.0.0.0", "127.0.0.7"), ("::", "::1")])
def test_the_answer_comes_from_where_the_question_went(listen, wildcard, host):
    (sock,) = listen(wildcard)
    client = client_of(sock, host)
    client.send(b"hello")
    (received,) = wait_for(sock)
    assert plain(received.local)[0] == host
    assert received.remote_address == plain(client.getsockname())
    connected, strays = connect_to(sock, received)
    assert strays == []
    connected.send(b"answer")
    assert client.recv(100) == b"answer"
    client.send(b"more")
    connected.setblocking(True)
    assert connected.recv(100) == b"more"
    assert list(receive(sock, 10)) == []
    connected.close()
    client.close()


def test_strays_are_handed_back():
    """What others send between bind and connect is not lost, nor taken for the client's."""
    sock = open_socket(socket.AF_INET, ("127.0.0.1", 0))
    first, other = (client_of(sock, "127.0.0.1") for _ in range(2))
    first.send(b"first")
    (received,) = wait_for(sock)
    sock.close()  # so that the new socket is the only one
    early = open_socket(socket.AF_INET, received.local)
    other.send(b"stray")
    early.setblocking(True)
    early.recv(1, socket.MSG_PEEK)
    early.setblocking(False)
    early.connect(received.remote)
    assert [(r.data, r.remote_address) for r in receive(early, 9)] == [
        (b"stray", plain(other.getsockname()))
    ]
    for each in (early, first, other):
        each.close()
