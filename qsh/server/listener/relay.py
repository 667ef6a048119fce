"""Datagrams from the listener to a worker, beside the worker's own socket.

The kernel gives a connected socket only the packets of its own two addresses; what comes from a
client's new address, and the rest of a first flight, reaches the listener. One datagram per packet
of a SOCK_SEQPACKET socket pair (a Unix SOCK_DGRAM one holds only net.unix.max_dgram_qlen):

    uint16 port | byte length, address in text | the datagram
"""

from qsh.errors import DecodeError
from qsh.quic.events import Address

MAX_RELAYED = 65535 + 64


def encode_relayed(data: bytes, remote: Address) -> bytes:
    """A datagram and where it came from."""
    host = remote[0].encode()
    return remote[1].to_bytes(2, "big") + bytes((len(host),)) + host + data


def decode_relayed(message: bytes) -> tuple[bytes, Address]:
    """The opposite. Raises DecodeError."""
    if len(message) < 3 or len(message) < 3 + message[2]:
        raise DecodeError("relayed datagram is too short")
    end = 3 + message[2]
    try:
        host = message[3:end].decode("ascii")
    except UnicodeDecodeError:
        raise DecodeError("relayed datagram without an address") from None
    return message[end:], (host, int.from_bytes(message[:2], "big"))
