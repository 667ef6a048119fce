"""Who else listens on a UDP port: the kernel's table, /proc/net/udp of proc(5).

SO_REUSEPORT, which workers' sockets need, would let a second qshd share the port in silence, and
each would get half of the newcomers. Workers' own sockets are connected, and so told apart.
"""

import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator

from qsh.quic.events import Address

TABLES = {socket.AF_INET: "/proc/self/net/udp", socket.AF_INET6: "/proc/self/net/udp6"}


def listening() -> frozenset[Address]:
    """The addresses of unconnected UDP sockets here; nothing where the system does not tell."""
    found = set[Address]()
    for family, path in TABLES.items():
        with contextlib.suppress(OSError), open(path) as file:
            found |= set(unconnected(file, family))
    return frozenset(found)


def unconnected(lines: Iterable[str], family: int) -> Iterator[Address]:
    """Those of one table."""
    for line in lines:
        words = line.split()
        if len(words) > 2 and words[1].count(":") == 1 and words[2].strip("0:") == "":
            host, _, port = words[1].partition(":")
            with contextlib.suppress(ValueError):
                yield _host(host, family), int(port, 16)


def _host(text: str, family: int) -> str:
    """Words of 32 bits in the machine's own order, each in hexadecimal digits."""
    raw = b"".join(
        struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8)
    )
    return socket.inet_ntop(family, raw)
