"""The client's name by its address, where UseDNS asks for it."""

import contextlib
import ipaddress
import socket


def verified_name(address: str) -> str:
    """The host name of a numeric address, in lower case; empty unless the name leads back to the
    address: whoever owns an address may call it what they like. Blocks, as resolvers do."""
    try:
        name = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0].lower().rstrip(".")
        if _is_numeric(name):  # a name made up to pass for an address
            return ""
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return ""
    wanted = ipaddress.ip_address(address)
    return name if any(_is_same(str(entry[4][0]), wanted) for entry in found) else ""


def _is_numeric(name: str) -> bool:
    with contextlib.suppress(OSError):
        socket.getaddrinfo(name, None, flags=socket.AI_NUMERICHOST)
        return True
    return False


def _is_same(address: str, wanted: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]) == wanted
