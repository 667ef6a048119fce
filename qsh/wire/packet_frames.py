"""QUIC packets over a byte stream: each datagram as its length and its bytes.

    uint16    length, 1 to 65535
    bytes     the datagram

Pure. The peer of a stream is trusted with nothing but its own connection: what it sends is QUIC.
"""

from qsh.errors import DecodeError

LENGTH_BYTES = 2
MAX_PACKET = 65535


def encode_packets(data: bytes, segment_size: int) -> bytes:
    """A run of datagrams, `segment_size` bytes each, as frames."""
    if len(data) <= segment_size:
        return len(data).to_bytes(LENGTH_BYTES, "big") + data
    parts: list[bytes] = []
    for start in range(0, len(data), segment_size):
        packet = data[start : start + segment_size]
        parts += (len(packet).to_bytes(LENGTH_BYTES, "big"), packet)
    return b"".join(parts)


class PacketReader:
    """Datagrams out of a stream, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._buffer = b""

    def receive(self, data: bytes) -> list[bytes]:
        """The datagrams that are complete now. Raises DecodeError for an empty one, which is no
        QUIC packet: the stream carries something else."""
        buffer = self._buffer + data if self._buffer else data
        at, end, packets = 0, len(buffer), []
        while end - at >= LENGTH_BYTES:
            size = int.from_bytes(buffer[at : at + LENGTH_BYTES], "big")
            if not size:
                raise DecodeError("what comes over the stream is no QUIC")
            if end - at - LENGTH_BYTES < size:
                break
            packets.append(buffer[at + LENGTH_BYTES : at + LENGTH_BYTES + size])
            at += LENGTH_BYTES + size
        self._buffer = buffer[at:]
        return packets
