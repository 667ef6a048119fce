"""The sockets that packets leave by: BindAddress, BindInterface and IPQoS.

An interface's address is looked up whenever a socket is made, so that a connection follows the
interface to its next address.
"""

import errno
import os
import socket
from typing import TYPE_CHECKING

from qsh.config.client_settings import ClientSettings
from qsh.net.dial import OpenLink
from qsh.net.endpoint import Endpoint
from qsh.net.udp import UdpLink, open_socket, set_traffic_class

if TYPE_CHECKING:
    from qsh.net.migration import FindSource


def link_opener(settings: ClientSettings, *, is_interactive: bool) -> OpenLink:
    """What makes a link to an address as the settings want it."""

    def open_link(endpoint: Endpoint, bind_address: str | None) -> UdpLink:
        if settings.bind_interface is not None and bind_address is None:
            bind_address = interface_address(settings.bind_interface, endpoint.family)
        sock = open_socket(endpoint.sockaddr, endpoint.family, bind_address)
        traffic_class = settings.ip_qos[0 if is_interactive else 1]
        if traffic_class is not None:
            set_traffic_class(sock, traffic_class)
        return UdpLink(sock)

    return open_link


def source_finder(settings: ClientSettings) -> "FindSource":
    """By which address packets would leave now: the kernel's choice, or the interface's."""
    from qsh.net.migration import route_source

    interface = settings.bind_interface
    if interface is None:
        return route_source

    def find(endpoint: Endpoint) -> str | None:
        try:
            return interface_address(interface, endpoint.family)
        except OSError:
            return None

    return find


def interface_address(interface: str, family: int) -> str:
    """The interface's address of that family. Raises OSError if it has none."""
    from qsh.config.interfaces import addresses_of

    try:
        found = addresses_of(interface)
    except ValueError as error:
        raise OSError(errno.ENODEV, str(error)) from None
    for address in found:
        if (":" in address) == (family == socket.AF_INET6):
            return address
    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
