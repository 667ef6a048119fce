"""A QUIC DATAGRAM (RFC 9221) of qsh: which channel it belongs to, and its payload.

    varint    stream ID of the channel
    bytes     payload

RFC 9297 divides the stream ID by four; here both sides open channels, so it stays whole.
"""

from collections.abc import Iterable

from qsh.errors import DecodeError

MAX_VARINT = (1 << 62) - 1


def encode_varint(value: int) -> bytes:
    """RFC 9000 section 16, in the shortest form."""
    if value < 1 << 6:
        return bytes((value,))
    if value < 1 << 14:
        return (value | 1 << 14).to_bytes(2, "big")
    if value < 1 << 30:
        return (value | 2 << 30).to_bytes(4, "big")
    assert value <= MAX_VARINT
    return (value | 3 << 62).to_bytes(8, "big")


def decode_varint(data: bytes) -> tuple[int, int]:
    """(value, bytes used). Raises DecodeError."""
    if not data:
        raise DecodeError("datagram without a flow")
    size = 1 << (data[0] >> 6)
    if len(data) < size:
        raise DecodeError("datagram without a flow")
    return int.from_bytes(data[:size], "big") & ((1 << 8 * size - 2) - 1), size


def encode_datagrams(stream_id: int, payloads: Iterable[bytes]) -> list[bytes]:
    """The contents of DATAGRAM frames."""
    head = encode_varint(stream_id)
    return [head + payload for payload in payloads]


def by_stream(datagrams: Iterable[bytes]) -> dict[int, list[bytes]]:
    """The payloads of each stream ID, in their order. Raises DecodeError."""
    found: dict[int, list[bytes]] = {}
    head, payloads = b"", []  # most follow another one of their flow
    for data in datagrams:
        if not head or not data.startswith(head):
            stream_id, size = decode_varint(data)
            head = data[:size]
            payloads = found.setdefault(stream_id, [])
        payloads.append(data[len(head) :])
    return found
