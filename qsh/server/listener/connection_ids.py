"""Connection IDs that hide a worker's number, and the keys behind them.

An ID is one AES block over 8 random bytes and a 64-bit number: to the network all IDs look
random and unrelated (RFC 9000 section 9.5), the listener reads the number from any packet without
a table. A random ID of a client's own making names a living worker with a chance of 2^-64 times
their count.

Keys stay in bytearrays, and contexts live for one call only, so that `ServerKeys.wipe` leaves no
copy in a worker or holder forked from the listener.
"""

import contextlib
import os
from dataclasses import dataclass
from hmac import digest
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from qsh.quic.engine import CONNECTION_ID_LENGTH, IssuedId

RANDOM_LENGTH = CONNECTION_ID_LENGTH - 8
RESET_TOKEN_LENGTH = 16
"""RFC 9000 section 10.3."""
KEY_LENGTH = 32


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The listener's secrets, `KEY_LENGTH` bytes each."""

    connection_id: bytearray
    reset: bytearray
    token: bytearray

    @classmethod
    def generate(cls) -> "ServerKeys":
        return cls(*(bytearray(os.urandom(KEY_LENGTH)) for _ in range(3)))

    def delay_secret(self) -> bytes:
        """Decides how long a refusal takes for each user's name. Kept like the keys, so that
        repeated connections see the same; tells nothing about them."""
        return digest(self.token, b"delays of refusals", "sha256")

    def wipe(self) -> None:
        """Overwrite the keys in this process."""
        for key in (self.connection_id, self.reset, self.token):
            key[:] = bytes(len(key))


def issue(keys: ServerKeys, number: int, entropy: bytes) -> IssuedId:
    """A connection ID for worker `number`, from `RANDOM_LENGTH` random bytes."""
    assert len(entropy) == RANDOM_LENGTH
    block = entropy + number.to_bytes(8, "big")
    encryptor = Cipher(algorithms.AES(keys.connection_id), modes.ECB()).encryptor()  # noqa: S305
    connection_id = encryptor.update(block)  # one block: the mode adds nothing
    return IssuedId(connection_id, reset_token(keys, connection_id))


def number_of(keys: ServerKeys, connection_id: bytes) -> int | None:
    """The number hidden in an ID: meaningless unless the ID is ours. None for a length that is
    never ours."""
    if len(connection_id) != CONNECTION_ID_LENGTH:
        return None
    decryptor = Cipher(algorithms.AES(keys.connection_id), modes.ECB()).decryptor()  # noqa: S305
    return int.from_bytes(decryptor.update(connection_id)[RANDOM_LENGTH:], "big")


def issue_many(keys: ServerKeys, number: int, count: int) -> bytes:
    """New IDs of a worker's number, each followed by its reset token."""
    issued = (issue(keys, number, os.urandom(RANDOM_LENGTH)) for _ in range(count))
    return b"".join(one.connection_id + one.reset_token for one in issued)


def reset_token(keys: ServerKeys, connection_id: bytes) -> bytes:
    """What ends the connection of an ID whose worker is gone (RFC 9000 section 10.3.2)."""
    return digest(keys.reset, connection_id, "sha256")[:RESET_TOKEN_LENGTH]


def stateless_reset(keys: ServerKeys, connection_id: bytes, received: int, entropy: bytes) -> bytes:
    """The packet for a peer whose connection is gone; empty if the packet that asks for it, of
    `received` bytes, is too small to answer with a smaller one (RFC 9000 section 10.3.3).
    `entropy` are random bytes, at least 27."""
    size = min(received - 1, 43)
    if size < 5 + RESET_TOKEN_LENGTH:
        return b""
    head = bytes((0x40 | (entropy[0] & 0x3F),)) + entropy[1 : size - RESET_TOKEN_LENGTH]
    return head + reset_token(keys, connection_id)


def load_keys(path: str) -> ServerKeys:
    """The keys kept in `path`; made there on the first start. Raises OSError.

    A file that is too short is replaced: its IDs are worthless anyway.
    """
    with contextlib.suppress(FileNotFoundError):
        stored = bytearray(3 * KEY_LENGTH)
        with open(path, "rb", buffering=0) as file:
            count = file.readinto(stored)
        if count == len(stored):
            parts = (stored[i : i + KEY_LENGTH] for i in range(0, len(stored), KEY_LENGTH))
            keys = ServerKeys(*parts)
            stored[:] = bytes(len(stored))
            return keys
    keys = ServerKeys.generate()
    _store(path, keys)
    return keys


def _store(path: str, keys: ServerKeys) -> None:
    temporary = f"{path}.{os.getpid()}"
    Path(temporary).unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.writev(descriptor, [keys.connection_id, keys.reset, keys.token])
    finally:
        os.close(descriptor)
    Path(temporary).rename(path)
