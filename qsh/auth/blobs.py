"""Public key and certificate blobs (RFC 4253 section 6.6, OpenSSH's PROTOCOL.certkeys and
PROTOCOL.u2f) taken apart. No cryptography here: only what the bytes say.

Every parser raises IdentityError for bytes that are no such blob.
"""

from enum import IntEnum

from qsh.errors import DecodeError, IdentityError
from qsh.record import record
from qsh.wire.codec import Reader

# From the specifications.
CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
CURVES = {"nistp256": 32, "nistp384": 48, "nistp521": 66}
"""Name in RFC 5656 and bytes of one coordinate."""

# Ours, because OpenSSH has them.
MIN_RSA_BITS = 1024
MAX_RSA_BITS = 16384
MAX_BLOB = 256 * 1024
MAX_PRINCIPALS = 256

_PARTS = {
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""Strings that follow the name in the blob of a plain key."""


def _certificate_name(plain: str) -> str:
    return plain.removesuffix("@openssh.com") + CERTIFICATE_SUFFIX


PLAIN_OF = {_certificate_name(name): name for name in _PARTS}
"""Certificate algorithm to the algorithm of the key in it."""
CERTIFICATE_OF = {plain: certificate for certificate, plain in PLAIN_OF.items()}
ALGORITHMS = frozenset(_PARTS) | frozenset(PLAIN_OF)
"""Every key algorithm that qsh knows, plain and certificate."""
CA_SIGNATURE_ALGORITHMS = frozenset({
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
})
"""CASignatureAlgorithms by default; SHA-1 is not among them."""


class CertificateKind(IntEnum):
    """PROTOCOL.certkeys: whom a certificate speaks for."""

    USER = 1
    HOST = 2


@record
class Certificate:
    """The fields of an OpenSSH certificate. Times in seconds since 1970, `valid_before` exclusive.

    `signed` is what the authority's `signature` covers.
    """

    serial: int
    kind: int
    key_id: str
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical: tuple[tuple[str, bytes], ...]
    extensions: tuple[tuple[str, bytes], ...]
    authority: bytes
    signature: bytes
    signed: bytes


@record
class KeyBlob:
    """A blob taken apart. `parts` are the plain key's own strings, after its name."""

    algorithm: str
    plain_algorithm: str
    parts: tuple[bytes, ...]
    plain_blob: bytes
    certificate: Certificate | None


def string(value: bytes) -> bytes:
    """RFC 4251 section 5."""
    return len(value).to_bytes(4, "big") + value


def mpint(value: int) -> bytes:
    """RFC 4251 section 5, with its length; `value` is not negative."""
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b"")


def positive(raw: bytes) -> int:
    """The content of an mpint that must be above zero. Raises DecodeError."""
    if not raw or raw[0] & 0x80:
        raise DecodeError("number is not positive")
    if raw[0] == 0 and not (len(raw) > 1 and raw[1] & 0x80):
        raise DecodeError("number has needless zeros")
    return int.from_bytes(raw, "big")


def algorithm_of(blob: bytes) -> str:
    """The name at the front of a blob; cheap. Raises IdentityError."""
    try:
        return Reader(blob[:68]).string().decode("ascii")
    except (DecodeError, UnicodeDecodeError):
        raise IdentityError("not a public key") from None


def parse(blob: bytes) -> KeyBlob:
    """Take a public key or certificate apart and check each field's form. Raises IdentityError."""
    if len(blob) > MAX_BLOB:
        raise IdentityError("public key is too long")
    algorithm = algorithm_of(blob)
    if algorithm not in ALGORITHMS:
        raise IdentityError(f"key type {algorithm[:64]!r} is not supported")
    try:
        return _parse(algorithm, blob)
    except DecodeError as e:
        raise IdentityError(f"malformed {algorithm} key: {e}") from None


def _parse(algorithm: str, blob: bytes) -> KeyBlob:
    reader = Reader(blob)
    reader.string()
    plain = PLAIN_OF.get(algorithm, algorithm)
    if plain != algorithm:
        reader.string()  # nonce
    parts = tuple(reader.string() for _ in range(_PARTS[plain]))
    _check_parts(plain, parts)
    plain_blob = string(plain.encode()) + b"".join(map(string, parts))
    if plain == algorithm:
        reader.end()
        return KeyBlob(algorithm, plain, parts, plain_blob, None)
    return KeyBlob(algorithm, plain, parts, plain_blob, _parse_certificate(reader, blob))


def _check_parts(plain: str, parts: tuple[bytes, ...]) -> None:
    if plain == "ssh-rsa":
        exponent, modulus = map(positive, parts)
        if exponent < 3 or not exponent & 1 or exponent.bit_length() > 256:
            raise DecodeError("bad RSA exponent")
        if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
            raise DecodeError(f"RSA modulus of {modulus.bit_length()} bits")
    elif "ecdsa-" in plain:
        curve = plain.removesuffix("@openssh.com").rpartition("-")[2]
        if parts[0] != curve.encode():
            raise DecodeError("curve does not fit the algorithm")
        if len(parts[1]) != 1 + 2 * CURVES[curve] or parts[1][0] != 4:
            raise DecodeError("bad point")
    elif len(parts[0]) != 32:
        raise DecodeError("wrong length")


def _parse_certificate(reader: Reader, blob: bytes) -> Certificate:
    serial, kind, key_id = reader.uint64(), reader.uint32(), reader.string()
    names = Reader(reader.string())
    valid_after, valid_before = reader.uint64(), reader.uint64()
    critical, extensions = _options(reader.string()), _options(reader.string())
    reader.string()  # reserved
    authority, signature = reader.string(), reader.string()
    reader.end()
    principals = []
    while not names.at_end:
        principals.append(_name(names.string()))
        if len(principals) > MAX_PRINCIPALS:
            raise DecodeError("too many principals")
    if algorithm_of(authority) in PLAIN_OF:  # before `parse`, which would follow a long chain
        raise DecodeError("signed by a certificate")
    parse(authority)
    return Certificate(
        serial, kind, _name(key_id), tuple(principals), valid_after, valid_before, critical,
        extensions, authority, signature, blob[: len(blob) - 4 - len(signature)],
    )


def _name(raw: bytes) -> str:
    if b"\0" in raw:
        raise DecodeError("zero byte in a name")
    return raw.decode("utf-8", "surrogateescape")


def _options(data: bytes) -> tuple[tuple[str, bytes], ...]:
    reader = Reader(data)
    found = []
    while not reader.at_end:
        found.append((_name(reader.string()), reader.string()))
    return tuple(found)
