"""Private keys in files: every format that ssh-keygen writes.

A key in OpenSSH's format without a passphrase is read by own code (the path of every login);
all else (passphrases, PEM, PKCS#8) by asyncssh, which costs 140 ms to import. A security key's
file only points at its device: qsh.auth.security_key signs with it.
"""

from collections.abc import Callable
from typing import Any

from qsh.auth.blobs import string
from qsh.auth.public_key import PublicKey, decode_base64, read_key_file
from qsh.auth.signatures import (
    curve_of,
    default_signature_algorithm,
    ecdsa_hash,
    encode_ecdsa,
    encode_signature,
    rsa_hash,
)
from qsh.errors import DecodeError, IdentityError
from qsh.wire.codec import Reader

# From OpenSSH's PROTOCOL.key.
_MAGIC = b"openssh-key-v1\0"
_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"

Signer = Callable[[bytes, str], bytes]
"""(data, signature algorithm) to a whole signature blob."""


class PassphraseNeeded(IdentityError):  # noqa: N818  (says what to do)
    """The file is encrypted and no passphrase was given. `public` is its key if known."""

    def __init__(self, message: str, public: PublicKey | None = None) -> None:
        super().__init__(message)
        self.public = public


class WrongPassphrase(PassphraseNeeded):
    """The passphrase does not open the file."""


class PrivateKey:
    """A key that can sign. `public` may be set to a certificate for it (`with_certificate`)."""

    def __init__(
        self, public: PublicKey, signer: Signer, device_part: bytes = b"", inner: Any = None
    ) -> None:
        self.public = public
        self.inner = inner
        """The key of `cryptography`; None if the secret is in a device."""
        self._signer = signer
        self.device_part = device_part
        """Of a security key: the fields after the public ones (flags, handle, reserved)."""

    def __repr__(self) -> str:
        return f"<private {self.public!r}>"

    def sign(self, data: bytes, algorithm: str | None = None) -> bytes:
        """A signature blob (RFC 4253 section 6.6). `algorithm` is one of the public key's
        `signature_algorithms`; the best by default. Raises IdentityError."""
        chosen = algorithm or default_signature_algorithm(self.public)
        if chosen not in self.public.signature_algorithms:
            raise IdentityError(f"a {self.public.key_type_name} key cannot sign as {chosen}")
        return self._signer(data, chosen)

    def with_certificate(self, certificate: PublicKey) -> "PrivateKey":
        """The same key under its certificate. Raises IdentityError if it is another key's."""
        if certificate.plain != self.public.plain:
            raise IdentityError("certificate is for another key")
        return PrivateKey(certificate, self._signer, self.device_part, self.inner)


def load_private(path: str, passphrase: bytes | None = None) -> PrivateKey:
    """The private key in a file. Raises PassphraseNeeded, WrongPassphrase, IdentityError.

    A file of ours that others may read is refused, as ssh does.
    """
    data = read_key_file(path, private=True)
    try:
        return parse_private(data, passphrase)
    except IdentityError as e:
        e.args = (f"{path}: {e}",)
        raise


def public_of(path: str) -> PublicKey | None:
    """The public half of an identity file, without its passphrase: from `path`.pub, or from the
    clear part of the file itself. None if neither tells."""
    for candidate in (path + ".pub", path):
        try:
            return PublicKey.from_file(candidate)
        except IdentityError:
            continue
    try:
        return _Container(read_key_file(path)).public
    except (IdentityError, DecodeError):
        return None


def certificate_of(path: str) -> PublicKey | None:
    """The certificate that ssh-keygen puts beside an identity file, or None."""
    try:
        found = PublicKey.from_file(path + "-cert.pub")
    except IdentityError:
        return None
    return found if found.is_certificate else None


def is_encrypted(data: bytes) -> bool:
    """Whether the bytes of a file are a private key under a passphrase."""
    try:
        return _Container(data).cipher != b"none"
    except (IdentityError, DecodeError):
        return b"ENCRYPTED" in data


def parse_private(data: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """The private key in the bytes of a file. Raises as `load_private`."""
    if _BEGIN not in data:
        return _parse_foreign(data, passphrase, None)
    try:
        container = _Container(data)
        if container.cipher != b"none":
            return _parse_foreign(data, passphrase, container.public)
        return _parse_fields(container.private)
    except DecodeError as e:
        raise IdentityError(f"malformed private key: {e}") from None


class _Container:
    """The clear part of a file in OpenSSH's format. Raises DecodeError, IdentityError."""

    def __init__(self, data: bytes) -> None:
        begin, end = data.find(_BEGIN), data.find(_END)
        if begin < 0 or end < begin:
            raise DecodeError("no OpenSSH private key")
        raw = decode_base64(b"".join(data[begin + len(_BEGIN) : end].split()))
        if not raw.startswith(_MAGIC):
            raise DecodeError("no OpenSSH private key")
        reader = Reader(raw[len(_MAGIC) :])
        self.cipher = reader.string()
        reader.string()  # key derivation
        reader.string()  # its options
        if reader.uint32() != 1:
            raise DecodeError("more than one key")
        self.public = PublicKey.from_blob(reader.string())
        self.private = reader.string()


def _parse_fields(private: bytes) -> PrivateKey:
    reader = Reader(private)
    if reader.uint32() != reader.uint32():
        raise DecodeError("check numbers differ")
    return _read_key(reader)


def _read_key(reader: Reader) -> PrivateKey:
    """One private key in the agent's and the file's common form. Raises DecodeError."""
    algorithm = reader.string().decode("ascii", "replace")
    if algorithm == "ssh-ed25519":
        return _ed25519(reader.string(), reader.string())
    if algorithm == "ssh-rsa":
        return _rsa([int.from_bytes(reader.string(), "big") for _ in range(6)])
    if algorithm.startswith("ecdsa-sha2-"):
        fields = reader.string(), reader.string(), reader.string()
        return _ecdsa(algorithm, *fields)
    if algorithm.startswith("sk-"):
        count = 3 if "ecdsa" in algorithm else 2
        public = [reader.string() for _ in range(count)]
        device = bytes((reader.byte(),)) + string(reader.string()) + string(reader.string())
        return security_key(algorithm, public, device)
    raise IdentityError(f"key type {algorithm[:64]!r} is not supported")


def _public(algorithm: str, *parts: bytes) -> PublicKey:
    return PublicKey.from_blob(string(algorithm.encode()) + b"".join(map(string, parts)))


def _ed25519(public: bytes, secret: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(secret) != 64 or secret[32:] != public:
        raise DecodeError("the halves of the key do not fit")
    return from_cryptography(Ed25519PrivateKey.from_private_bytes(secret[:32]))


def _rsa(numbers: list[int]) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    n, e, d, iqmp, p, q = numbers
    if not (p > 1 and q > 1 and p * q == n and n.bit_length() >= 1024):
        raise DecodeError("RSA numbers do not fit")
    public = rsa.RSAPublicNumbers(e, n)
    exponents = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q)
    try:
        # The primality tests of a full check take up to a second; a wrong key fails to sign.
        key = rsa.RSAPrivateNumbers(p, q, d, *exponents, iqmp, public).private_key(
            unsafe_skip_rsa_key_validation=True
        )
    except ValueError as error:
        raise DecodeError(str(error)) from None
    return from_cryptography(key)


def _ecdsa(algorithm: str, curve: bytes, point: bytes, secret: bytes) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    public = _public(algorithm, curve, point)
    kind = curve_of(public.bits)
    try:
        key = from_cryptography(ec.derive_private_key(int.from_bytes(secret, "big"), kind))
    except ValueError as error:
        raise DecodeError(str(error)) from None
    if key.public != public:
        raise DecodeError("the halves of the key do not fit")
    return key


def security_key(algorithm: str, public: list[bytes], device_part: bytes) -> PrivateKey:
    """A key whose secret is in a FIDO device (PROTOCOL.u2f)."""
    key = _public(algorithm, *public)

    def sign(data: bytes, signature_algorithm: str) -> bytes:
        from qsh.auth.security_key import sign_with_device

        return sign_with_device(key, device_part, data, signature_algorithm)

    return PrivateKey(key, sign, device_part)


def from_cryptography(key: Any) -> PrivateKey:
    """A PrivateKey around an Ed25519, ECDSA or RSA key of `cryptography`. Raises IdentityError
    for any other."""
    name = type(key).__name__
    if name == "Ed25519PrivateKey":
        public = _public("ssh-ed25519", key.public_key().public_bytes_raw())
        return PrivateKey(
            public, lambda data, alg: encode_signature(alg, key.sign(data)), inner=key
        )
    if name == "RSAPrivateKey":
        return _wrap_rsa(key)
    if name == "ECPrivateKey":
        return _wrap_ecdsa(key)
    raise IdentityError("this type of key is not supported")


def _wrap_rsa(key: Any) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    def sign(data: bytes, algorithm: str) -> bytes:
        return encode_signature(algorithm, key.sign(data, PKCS1v15(), rsa_hash(algorithm)))

    numbers = key.public_key().public_numbers()
    parts = (v.to_bytes(v.bit_length() // 8 + 1, "big") for v in (numbers.e, numbers.n))
    return PrivateKey(_public("ssh-rsa", *parts), sign, inner=key)


def _wrap_ecdsa(key: Any) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    bits = key.curve.key_size
    if bits not in (256, 384, 521):
        raise IdentityError(f"curve {key.curve.name} is not supported")
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(data: bytes, algorithm: str) -> bytes:
        der = key.sign(data, ec.ECDSA(ecdsa_hash(bits)))
        return encode_signature(algorithm, encode_ecdsa(der))

    public = _public(f"ecdsa-sha2-nistp{bits}", b"nistp%d" % bits, point)
    return PrivateKey(public, sign, inner=key)


def _parse_foreign(
    data: bytes, passphrase: bytes | None, public: PublicKey | None
) -> PrivateKey:
    """What asyncssh reads: encrypted keys, PEM, PKCS#8."""
    from qsh.lazy import light_asyncssh

    light_asyncssh()
    import asyncssh.rsa  # noqa: F401  (registers its key type, as the next ones do)
    from asyncssh import ecdsa, eddsa, public_key, sk_ecdsa, sk_eddsa  # noqa: F401
    from asyncssh.pbe import KeyEncryptionError

    try:
        key = public_key.import_private_key(data, passphrase)
        if key.algorithm.startswith(b"sk-"):
            return _read_key(Reader(string(key.algorithm) + key.encode_ssh_private()))
        return from_cryptography(key.pyca_key)
    except KeyEncryptionError:
        raise WrongPassphrase("wrong passphrase", public) from None
    except IdentityError:
        raise
    except Exception as e:  # hostile bytes make asyncssh raise more than its own errors
        if public is not None or b"ENCRYPTED" in data:
            if passphrase is None:
                raise PassphraseNeeded("a passphrase is needed", public) from None
            raise WrongPassphrase("wrong passphrase", public) from None
        raise IdentityError(str(e)[:200] or "not a private key") from None
