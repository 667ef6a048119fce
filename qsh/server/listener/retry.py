"""Address validation by Retry (RFC 9000 section 8.1.2, RFC 9001 section 5.8), before any fork.

A token is an AEAD over the time and the client's first connection ID, bound to its address and
to the connection ID that the Retry gave it. Pure: time and chance are parameters.
"""

import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qsh.quic.events import Address
from qsh.server.listener.cid_router import VERSION_1, Header

# From the specification: RFC 9001 section 5.8.
RETRY_KEY = bytes.fromhex("be0c690b9f66575a1d766b54e368c84e")
RETRY_NONCE = bytes.fromhex("461599d35d632bf2239825bb")

# Ours.
TOKEN_LIFETIME = 10.0
"""Seconds. A Retry is answered within a round trip; long lives only help those who replay."""
NONCE_LENGTH = 12
TAG_LENGTH = 16
_PLAIN = struct.Struct(">dB31s")
"""When it was minted, the length of the connection ID, the ID. The native engine writes what it
needs itself into the token's place, and that takes 65 bytes in all."""


@dataclass(frozen=True, slots=True)
class Validated:
    """A client that has shown to receive at its address."""

    original_destination: bytes
    """The first destination ID, of the Initial without a token."""
    retry_source: bytes
    """The ID that the Retry gave the client."""


def mint_token(key: bytes | bytearray, remote: Address, original_destination: bytes,
               retry_source: bytes, now: float, nonce: bytes) -> bytes:
    """A token for a Retry packet. `nonce` is `NONCE_LENGTH` random bytes, `now` wall-clock
    seconds: tokens outlive the process."""
    plain = _PLAIN.pack(now, len(original_destination), original_destination)
    return nonce + AESGCM(key).encrypt(nonce, plain, _bound_to(remote, retry_source))


def check_token(key: bytes | bytearray, token: bytes, remote: Address, destination: bytes,
                now: float) -> Validated | None:
    """What the token says; None if it is forged, from another address, for another connection,
    or older than TOKEN_LIFETIME. `destination` is the packet's destination ID."""
    nonce, sealed = token[:NONCE_LENGTH], token[NONCE_LENGTH:]
    if len(token) != NONCE_LENGTH + _PLAIN.size + TAG_LENGTH:
        return None
    try:
        plain = AESGCM(key).decrypt(nonce, sealed, _bound_to(remote, destination))
    except InvalidTag:
        return None
    minted, length, padded = _PLAIN.unpack(plain)
    if not 0 <= now - minted <= TOKEN_LIFETIME:
        return None
    return Validated(padded[:length], destination)


def retry_packet(header: Header, retry_source: bytes, token: bytes, entropy: int) -> bytes:
    """The Retry that answers an Initial (RFC 9000 section 17.2.5). `entropy` is a random byte
    for the bits without meaning."""
    packet = b"".join((
        bytes((0xF0 | (entropy & 0x0F),)), VERSION_1.to_bytes(4, "big"),
        bytes((len(header.source),)), header.source,
        bytes((len(retry_source),)), retry_source,
        token,
    ))  # fmt: skip
    original = bytes((len(header.destination),)) + header.destination
    return packet + AESGCM(RETRY_KEY).encrypt(RETRY_NONCE, b"", original + packet)


def _bound_to(remote: Address, connection_id: bytes) -> bytes:
    host, port = remote
    return b"\0".join((host.encode(), str(port).encode(), connection_id))
