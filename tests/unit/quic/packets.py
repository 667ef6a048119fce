"""As much of QUIC's packet headers (RFC 8999, RFC 9000 section 17) as tests must see or forge."""

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qsh.quic.engine import CONNECTION_ID_LENGTH

RETRY_KEY = bytes.fromhex("be0c690b9f66575a1d766b54e368c84e")  # RFC 9001 section 5.8
RETRY_NONCE = bytes.fromhex("461599d35d632bf2239825bb")


def is_long(packet):
    return bool(packet[0] & 0x80)


@dataclass
class LongHeader:
    version: int
    destination: bytes
    source: bytes

    @classmethod
    def read(cls, packet):
        assert is_long(packet)
        at = 6 + packet[5]
        source = packet[at + 1 : at + 1 + packet[at]]
        return cls(int.from_bytes(packet[1:5], "big"), packet[6:at], source)


def destination_id(packet):
    """Of any packet to an ID of ours."""
    return packet[6:22] if is_long(packet) else packet[1 : 1 + CONNECTION_ID_LENGTH]


def encode_retry(initial, source, token):
    """The Retry packet that answers a client's Initial (RFC 9001 section 5.8)."""
    packet = b"\xf0\x00\x00\x00\x01" + bytes([len(initial.source)]) + initial.source
    packet += bytes([len(source)]) + source + token
    pseudo = bytes([len(initial.destination)]) + initial.destination + packet
    return packet + AESGCM(RETRY_KEY).encrypt(RETRY_NONCE, b"", pseudo)


def stateless_reset(token):
    """RFC 9000 section 10.3."""
    return bytes([0x40 | os.urandom(1)[0] & 0x3F]) + os.urandom(24) + token
