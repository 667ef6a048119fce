"""A full-cone NAT for IPv4: UDP, TCP and ICMP echo; anything else is dropped. No hairpinning.
IPv6 passes as it is.
"""

import socket
import struct

PUBLIC_NETWORK = "10.77.9."  # public addresses: .1, .2, …
FIRST_PORT, PORTS = 40000, 20000
ICMP, TCP, UDP = 1, 6, 17

Key = tuple[int, bytes, bytes]
"""Protocol, address, port."""


class Nat:
    """Every (protocol, client address, port) gets a public port of its own."""

    def __init__(self) -> None:
        self._public_number = 0
        self._next_port = FIRST_PORT
        self.flush(new_address=True)

    def flush(self, new_address: bool = False) -> None:
        """Forget all mappings. The next packet of each flow gets a new public port."""
        if new_address:
            self._public_number += 1
            self.public_address = f"{PUBLIC_NETWORK}{self._public_number}"
        self._out: dict[Key, tuple[bytes, bytes]] = {}
        self._in: dict[Key, tuple[bytes, bytes]] = {}

    def outbound(self, packet: bytes) -> bytes | None:
        """Client to server: replace the source address and port."""
        if packet[0] >> 4 == 6:
            return packet
        where = port_offset(packet, outbound=True)
        if where is None:
            return None
        key = packet[9], packet[12:16], packet[where : where + 2]
        address, port = self._out.get(key) or self._map(key)
        return rewrite(packet, 12, address, where, port)

    def inbound(self, packet: bytes) -> bytes | None:
        """Server to client: replace the destination address and port."""
        if packet[0] >> 4 == 6:
            return packet
        where = port_offset(packet, outbound=False)
        if where is None:
            return None
        mapped = self._in.get((packet[9], packet[16:20], packet[where : where + 2]))
        return rewrite(packet, 16, mapped[0], where, mapped[1]) if mapped else None

    def _map(self, key: Key) -> tuple[bytes, bytes]:
        protocol, address, port = key
        public = socket.inet_aton(self.public_address), struct.pack("!H", self._next_port)
        self._next_port = FIRST_PORT + (self._next_port + 1 - FIRST_PORT) % PORTS
        self._out[key] = public
        self._in[(protocol, *public)] = (address, port)
        return public


def port_offset(packet: bytes, outbound: bool) -> int | None:
    """Where the client's port (or ICMP echo id) is in the packet; None: cannot be translated."""
    header = (packet[0] & 15) * 4
    later_fragment = (packet[6] & 0x1F) | packet[7]
    if later_fragment or len(packet) < header + 8:
        return None
    if packet[9] in (TCP, UDP):
        return header if outbound else header + 2
    if packet[9] == ICMP and packet[header] in (0, 8):
        return header + 4
    return None


def rewrite(packet: bytes, address_at: int, address: bytes, port_at: int, port: bytes) -> bytes:
    """Replace an address and a port, and correct the checksums (RFC 1624)."""
    header = (packet[0] & 15) * 4
    new = bytearray(packet)
    new[address_at : address_at + 4] = address
    new[port_at : port_at + 2] = port
    address_change = words(address) - words(packet[address_at : address_at + 4])
    port_change = words(port) - words(packet[port_at : port_at + 2])
    adjust_checksum(new, 10, address_change)
    if packet[9] == TCP:
        adjust_checksum(new, header + 16, address_change + port_change)
    elif packet[9] == ICMP:
        adjust_checksum(new, header + 2, port_change)
    elif new[header + 6] or new[header + 7]:  # UDP: zero means no checksum
        adjust_checksum(new, header + 6, address_change + port_change)
    return bytes(new)


def words(data: bytes) -> int:
    """Sum of the 16-bit words."""
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def adjust_checksum(packet: bytearray, at: int, change: int) -> None:
    """Update the Internet checksum at `at` for words whose sum changed by `change`."""
    total = (~((packet[at] << 8) | packet[at + 1]) & 0xFFFF) + change
    struct.pack_into("!H", packet, at, ~(total % 0xFFFF) & 0xFFFF)
