"""DATAGRAMs that belong to no flow: what the two ends of a connection say beside its streams.

    02                                            asks the client for a large packet
    02 bytes                                      fills one: ignored
    03 varint stream ID, varint offset, bytes     some of a stream's bytes once more

No channel's stream has these IDs, which are those of unidirectional ones (RFC 9000 section 2.1).
"""

from collections.abc import Iterable

from qsh.errors import DecodeError
from qsh.wire.datagram import decode_varint, encode_varint

LARGE_WANTED = b"\x02"
COPY = b"\x03"
FIRST_BYTES = (LARGE_WANTED, COPY)
FRAMES_BESIDE = 80
"""Bytes that a large packet leaves for what else is to be said."""


def filling(largest: int) -> bytes:
    """A DATAGRAM that makes its packet large; `largest` is what one may carry."""
    return LARGE_WANTED + bytes(max(1, largest - FRAMES_BESIDE))


def encode_copy(stream_id: int, offset: int, data: bytes) -> bytes:
    """Bytes that were sent on the stream, from that offset on."""
    return COPY + encode_varint(stream_id) + encode_varint(offset) + data


def decode_copy(datagram: bytes) -> tuple[int, int, bytes]:
    """(stream ID, offset, data). Raises DecodeError."""
    stream_id, size = decode_varint(datagram[1:])
    offset, more = decode_varint(datagram[1 + size :])
    data = datagram[1 + size + more :]
    if not data:
        raise DecodeError("a copy of nothing")
    return stream_id, offset, data


def divide(datagrams: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Those of flows, and those beside them."""
    flows: list[bytes] = []
    aside: list[bytes] = []
    for datagram in datagrams:
        (aside if datagram[:1] in FIRST_BYTES else flows).append(datagram)
    return flows, aside
