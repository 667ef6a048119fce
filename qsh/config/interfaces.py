"""The addresses of this machine's interfaces, for Match localnetwork and BindInterface.

Asked of the kernel by rtnetlink(7): the standard library has no getifaddrs(3).
"""

import socket
import struct
from collections.abc import Iterator

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_GETADDR, RTM_NEWADDR = 22, 20
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
IFA_ADDRESS, IFA_LOCAL = 1, 2
HEADER = struct.Struct("=IHHII")
IFADDRMSG = struct.Struct("=BBBBI")
ATTRIBUTE = struct.Struct("=HH")
LOOPBACK_INDEX = 1


def local_addresses() -> list[str]:
    """Addresses of all interfaces but the loopback one, as ssh(1) takes them. Raises ValueError
    where the system has no netlink."""
    return [address for index, address in _all_addresses() if index != LOOPBACK_INDEX]


def addresses_of(interface: str) -> list[str]:
    """Addresses of one interface, those that reach beyond the link first. Raises ValueError if
    there is no such interface, or no netlink."""
    try:
        wanted = socket.if_nametoindex(interface)
    except OSError:
        raise ValueError(f"there is no interface {interface}") from None
    found = [address for index, address in _all_addresses() if index == wanted]
    return sorted(found, key=lambda address: address.startswith("fe80:"))


def _all_addresses() -> list[tuple[int, str]]:
    """(Number of the interface, address)."""
    if not hasattr(socket, "AF_NETLINK"):
        raise ValueError("local addresses are known on Linux only")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.bind((0, 0))
        request = IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        length = HEADER.size + len(request)
        link.send(HEADER.pack(length, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + request)
        addresses: list[tuple[int, str]] = []
        while True:
            for kind, body in _messages(link.recv(65536)):
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    return addresses
                if kind == RTM_NEWADDR:
                    addresses += _address(body)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= HEADER.size:
        length, kind, *_ = HEADER.unpack_from(data)
        yield kind, data[HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _address(body: bytes) -> list[tuple[int, str]]:
    """The one address of an RTM_NEWADDR; on point-to-point links IFA_ADDRESS is the peer's."""
    family, _, _, _, index = IFADDRMSG.unpack_from(body)
    found = {}
    rest = body[IFADDRMSG.size :]
    while len(rest) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(rest)
        found[kind] = rest[ATTRIBUTE.size : length]
        rest = rest[max(length + 3 & ~3, ATTRIBUTE.size) :]
    packed = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)
    if packed is None or family not in (socket.AF_INET, socket.AF_INET6):
        return []
    return [(index, socket.inet_ntop(family, packed))]
