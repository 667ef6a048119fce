"""BindInterface and IPQoS, on sockets of the kernel's."""

import asyncio
import socket

import pytest

from qsh.client.dial.link import interface_address, link_opener, source_finder
from qsh.config.client_settings import ClientSettings
from qsh.net.endpoint import Endpoint

V4 = Endpoint(socket.AF_INET, ("127.0.0.1", 9))
V6 = Endpoint(socket.AF_INET6, ("::1", 9, 0, 0))


def settings(**more):
    return ClientSettings("h", "h", "u", **more)


def opened(endpoint, bind_address=None, *, is_interactive=True, **more):
    """(local address, traffic class) of the socket that the settings lead to."""

    async def run():
        opener = link_opener(settings(**more), is_interactive=is_interactive)
        link = opener(endpoint, bind_address)
        sock = link._socket
        v6 = sock.family == socket.AF_INET6
        option = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if v6 else (0, socket.IP_TOS)
        facts = link.local[0], sock.getsockopt(*option)
        link.close()
        return facts

    return asyncio.run(run())


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


ENDPOINTS = [V4, pytest.param(V6, marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6"))]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_packets_bear_the_class_of_their_kind(endpoint):
    assert opened(endpoint, ip_qos=(0xB8, 0x20))[1] == 0xB8
    assert opened(endpoint, ip_qos=(0xB8, 0x20), is_interactive=False)[1] == 0x20
    assert opened(endpoint, ip_qos=(None, None))[1] == 0


def test_the_interface_gives_the_address():
    assert opened(V4, bind_interface="lo")[0] == "127.0.0.1"
    assert opened(V4, "127.0.0.2", bind_interface="lo")[0] == "127.0.0.2"
    assert source_finder(settings(bind_interface="lo"))(V4) == "127.0.0.1"


def test_an_interface_that_is_not_there_is_named():
    with pytest.raises(OSError, match="no interface nonsense0"):
        interface_address("nonsense0", socket.AF_INET)
    assert source_finder(settings(bind_interface="nonsense0"))(V4) is None


