"""Host keys in the DNS: SSHFP records (RFC 4255, 6594, 7479)."""

from collections.abc import Iterable
from hashlib import sha1, sha256

from qsh.auth.public_key import PublicKey

_ALGORITHMS = {"ssh-rsa": 1, "ecdsa-sha2": 3, "ssh-ed25519": 4}
_SHA1, _SHA256 = 1, 2


def matches(records: Iterable[bytes], key: PublicKey) -> bool:
    """Whether one of the records (algorithm, hash type, hash) is for the key. SHA-1 counts only
    where the DNS has nothing better for keys of this type."""
    plain = key.plain
    number = _algorithm(plain)
    hashes = [(record[1], record[2:]) for record in records if record[:1] == bytes((number,))
              and len(record) > 2]  # fmt: skip
    if any(kind == _SHA256 for kind, _ in hashes):
        return (_SHA256, sha256(plain.blob).digest()) in hashes
    return (_SHA1, sha1(plain.blob, usedforsecurity=False).digest()) in hashes


def _algorithm(key: PublicKey) -> int:
    """The number of the key's type; 0 if the DNS has none for it."""
    return next((n for name, n in _ALGORITHMS.items() if key.algorithm.startswith(name)), 0)
