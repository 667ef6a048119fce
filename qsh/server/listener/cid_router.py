"""The first bytes of a datagram: QUIC's invariant header (RFC 8999), and the token of an Initial.

This is all that privileged code ever reads of a stranger's packet. Pure: bytes in, values out;
what is no QUIC header is None. May not decrypt, keep state or do I/O.
"""

from dataclasses import dataclass

# From the specification.
VERSION_1 = 0x00000001
LONG_HEADER = 0x80
FIXED_BIT = 0x40
INITIAL_TYPE = 0x00
MAX_CONNECTION_ID = 20
"""Bytes of the longest connection ID of QUIC version 1 (RFC 9000 section 17.2)."""
MIN_INITIAL_DATAGRAM = 1200
"""Smaller datagrams never start a connection (RFC 9000 section 14.1)."""

# Ours.
CONNECTION_ID_LENGTH = 16
"""Length of the IDs that the server issues: one AES block (see server.connection_ids)."""
GREASE_VERSION = 0x1A2A3A4A
"""A reserved version, listed so that no client comes to rely on the exact list (RFC 9000 15)."""


@dataclass(frozen=True, slots=True)
class Header:
    """What every version of QUIC shows in clear."""

    is_long: bool
    version: int
    """0 for a short header, and in a Version Negotiation packet."""
    destination: bytes
    source: bytes
    """Empty in a short header."""
    kind: int
    """Bits 4 and 5 of the first byte of a long header: 0 is an Initial in version 1."""
    end: int
    """Where the version's own part starts."""

    @property
    def is_initial(self) -> bool:
        """Whether the packet can be the first of a version 1 connection."""
        return self.is_long and self.version == VERSION_1 and self.kind == INITIAL_TYPE


def parse_header(data: bytes) -> Header | None:
    """The invariant header of the first packet in a datagram (RFC 8999 section 5)."""
    if not data:
        return None
    if not data[0] & LONG_HEADER:
        if len(data) < 1 + CONNECTION_ID_LENGTH:
            return None
        return Header(False, 0, data[1 : 1 + CONNECTION_ID_LENGTH], b"", 0, 17)
    if len(data) < 7:
        return None
    version = int.from_bytes(data[1:5], "big")
    destination_end = 6 + data[5]
    if destination_end >= len(data):
        return None
    source_end = destination_end + 1 + data[destination_end]
    if source_end > len(data):
        return None
    return Header(
        True,
        version,
        data[6:destination_end],
        data[destination_end + 1 : source_end],
        (data[0] >> 4) & 3,
        source_end,
    )


def initial_token(data: bytes, header: Header) -> bytes | None:
    """The token of a version 1 Initial (RFC 9000 section 17.2.2); None if it is cut short."""
    length, at = _varint(data, header.end)
    if length is None or at + length > len(data):
        return None
    return data[at : at + length]


def version_negotiation(header: Header, entropy: int) -> bytes:
    """The answer to a version that we do not speak (RFC 8999 section 6). `entropy` is a random
    byte for the bits without meaning."""
    return b"".join((
        bytes((LONG_HEADER | FIXED_BIT | (entropy & 0x3F), 0, 0, 0, 0)),
        bytes((len(header.source),)), header.source,
        bytes((len(header.destination),)), header.destination,
        VERSION_1.to_bytes(4, "big"), GREASE_VERSION.to_bytes(4, "big"),
    ))  # fmt: skip


def _varint(data: bytes, at: int) -> tuple[int | None, int]:
    """A variable-length integer (RFC 9000 section 16) and where it ends."""
    if at >= len(data):
        return None, at
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        return None, at
    mask = (1 << (8 * size - 2)) - 1
    return int.from_bytes(data[at : at + size], "big") & mask, at + size
