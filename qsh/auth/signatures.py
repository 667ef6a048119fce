"""Making and checking signatures, and the names of their algorithms.

RFC 8709 (Ed25519), RFC 5656 (ECDSA), RFC 8332 (RSA with SHA-2), OpenSSH's PROTOCOL.u2f (security
keys, webauthn). SHA-1 is never made nor accepted.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from qsh.auth.blobs import CERTIFICATE_SUFFIX, PLAIN_OF, mpint, positive, string
from qsh.errors import DecodeError
from qsh.wire.codec import Reader

if TYPE_CHECKING:
    from qsh.auth.public_key import PublicKey

SK_TOUCHED = 1
SK_VERIFIED = 4
"""Flags of a security key's signature (PROTOCOL.u2f): somebody touched it, PIN or finger."""

_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_WEBAUTHN = "webauthn-"


def signature_algorithm(name: str) -> str:
    """The name inside the signature for a public key algorithm name of a login request:
    `rsa-sha2-256-cert-v01@openssh.com` gives `rsa-sha2-256`."""
    if name in PLAIN_OF:
        return PLAIN_OF[name]
    plain = name.removesuffix(CERTIFICATE_SUFFIX)
    return f"{plain}@openssh.com" if plain != name and plain.startswith(_WEBAUTHN) else plain


def login_algorithms(key: "PublicKey") -> tuple[str, ...]:
    """The names under which a key can log in, the best first (RFC 8332 section 3; PROTOCOL)."""
    if not key.is_certificate:
        return key.signature_algorithms
    if key.plain_algorithm == "ssh-rsa":
        return tuple(name + CERTIFICATE_SUFFIX for name in _RSA)
    return (key.algorithm,)


def default_signature_algorithm(key: "PublicKey") -> str:
    """What to sign with if nobody says: rsa-sha2-512 for RSA, else the key's own."""
    return key.signature_algorithms[0]


def ecdsa_hash(bits: int) -> Any:
    """RFC 5656 section 6.2.1."""
    from cryptography.hazmat.primitives import hashes

    if bits <= 256:
        return hashes.SHA256()
    return hashes.SHA384() if bits <= 384 else hashes.SHA512()


def curve_of(bits: int) -> Any:
    """The NIST curve of that size: 256, 384 or 521."""
    from cryptography.hazmat.primitives.asymmetric import ec

    if bits == 256:
        return ec.SECP256R1()
    return ec.SECP384R1() if bits == 384 else ec.SECP521R1()


def rsa_hash(algorithm: str) -> Any:
    """RFC 8332 section 3."""
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA512() if algorithm == "rsa-sha2-512" else hashes.SHA256()


def encode_ecdsa(der: bytes) -> bytes:
    """An X9.62 signature as RFC 5656 section 3.1.2 has it."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(der)
    return mpint(r) + mpint(s)


def verify(
    key: "PublicKey",
    data: bytes,
    signature: bytes,
    allowed: Collection[str] | None,
    flags_needed: int,
) -> bool:
    """PublicKey.verify; `flags_needed` are SK_TOUCHED and SK_VERIFIED."""
    try:
        reader = Reader(signature)
        name = reader.string().decode("ascii")
        if name not in key.signature_algorithms or (allowed is not None and name not in allowed):
            return False
        value = reader.string()
        if key.is_security_key:
            signed = _security_key_data(key, name, data, reader, flags_needed)
            return signed is not None and _verify_raw(key, name, signed, value)
        reader.end()
        return _verify_raw(key, name, data, value)
    except (DecodeError, UnicodeDecodeError):
        return False


def _security_key_data(
    key: "PublicKey", name: str, data: bytes, reader: Reader, flags_needed: int
) -> bytes | None:
    """The bytes that the device signed, or None if it must not count."""
    from hashlib import sha256

    flags, counter = reader.byte(), reader.uint32()
    message = data
    extensions = b""
    if name.startswith(_WEBAUTHN):
        origin, message, extensions = reader.string(), reader.string(), reader.string()
        if not _webauthn_fits(origin, message, data) or bool(extensions) != bool(flags & 0x80):
            return None
    reader.end()
    if flags & flags_needed != flags_needed:
        return None
    return (
        sha256(key.parts[-1]).digest()
        + bytes((flags,))
        + counter.to_bytes(4, "big")
        + extensions
        + sha256(message).digest()
    )


def _webauthn_fits(origin: bytes, client_data: bytes, data: bytes) -> bool:
    """Whether a browser's clientData is for this challenge and origin, as OpenSSH wants it."""
    from base64 import urlsafe_b64encode

    if b'"' in origin or b"\\" in origin:
        return False
    challenge = urlsafe_b64encode(data).rstrip(b"=")
    start = b'{"type":"webauthn.get","challenge":"' + challenge + b'","origin":"' + origin + b'"'
    return client_data.startswith(start)


def _verify_raw(key: "PublicKey", name: str, data: bytes, value: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        if "ed25519" in key.plain_algorithm:
            _verify_ed25519(key, data, value)
        elif key.plain_algorithm == "ssh-rsa":
            _verify_rsa(key, name, data, value)
        else:
            _verify_ecdsa(key, data, value)
    except (InvalidSignature, ValueError):  # ValueError: a point that is not on the curve
        return False
    return True


def _verify_ed25519(key: "PublicKey", data: bytes, value: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    Ed25519PublicKey.from_public_bytes(key.parts[0]).verify(value, data)


def _verify_rsa(key: "PublicKey", name: str, data: bytes, value: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    exponent, modulus = (int.from_bytes(part, "big") for part in key.parts)
    length = (modulus.bit_length() + 7) // 8
    # Some agents cut leading zeros off (PuTTY's did); OpenSSH pads such a signature, too.
    RSAPublicNumbers(exponent, modulus).public_key().verify(
        value.rjust(length, b"\0"), data, PKCS1v15(), rsa_hash(name)
    )


def _verify_ecdsa(key: "PublicKey", data: bytes, value: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    reader = Reader(value)
    r, s = positive(reader.string()), positive(reader.string())
    reader.end()
    public = ec.EllipticCurvePublicKey.from_encoded_point(curve_of(key.bits), key.parts[1])
    public.verify(encode_dss_signature(r, s), data, ec.ECDSA(ecdsa_hash(key.bits)))


def encode_signature(algorithm: str, value: bytes) -> bytes:
    """RFC 4253 section 6.6: string name, string value."""
    return string(algorithm.encode()) + string(value)
