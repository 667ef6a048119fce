"""Keys, certificates and security keys made in Python, for tests of qsh.auth."""

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qsh.auth.blobs import CERTIFICATE_OF, CertificateKind, string
from qsh.auth.private_key import PrivateKey, from_cryptography
from qsh.auth.public_key import PublicKey

ED25519 = from_cryptography(Ed25519PrivateKey.generate())
OTHER = from_cryptography(Ed25519PrivateKey.generate())
AUTHORITY = from_cryptography(Ed25519PrivateKey.generate())
ECDSA = {
    bits: from_cryptography(ec.generate_private_key(curve))
    for bits, curve in ((256, ec.SECP256R1()), (384, ec.SECP384R1()), (521, ec.SECP521R1()))
}
RSA = from_cryptography(rsa.generate_private_key(65537, 2048))
ALL_KEYS = [ED25519, *ECDSA.values(), RSA]

FOREVER = 2**64 - 1
USER_EXTENSIONS = tuple(
    (f"permit-{name}", b"")
    for name in ("X11-forwarding", "agent-forwarding", "port-forwarding", "pty", "user-rc")
)


class SecurityKey:
    """A FIDO authenticator in software (PROTOCOL.u2f): Ed25519, or ECDSA with `bits`."""

    def __init__(self, ecdsa: bool = False, application: str = "ssh:") -> None:
        self.inner = ECDSA[256] if ecdsa else ED25519
        name = "sk-ecdsa-sha2-nistp256@openssh.com" if ecdsa else "sk-ssh-ed25519@openssh.com"
        self.algorithm = name
        self.application = application.encode()
        parts = (*self.inner.public.parts, self.application)
        self.public = PublicKey.from_blob(string(name.encode()) + b"".join(map(string, parts)))

    def sign(self, data: bytes, flags: int = 1, counter: int = 7, extensions: bytes = b"") -> bytes:
        signed = b"".join((
            hashlib.sha256(self.application).digest(),
            bytes((flags,)),
            counter.to_bytes(4, "big"),
            extensions,
            hashlib.sha256(data).digest(),
        ))
        raw = self.inner.sign(signed)
        at = 4 + int.from_bytes(raw[:4], "big")
        return (
            string(self.algorithm.encode())
            + raw[at:]
            + bytes((flags,))
            + counter.to_bytes(4, "big")
        )


def options(pairs) -> bytes:
    return b"".join(string(name.encode()) + string(data) for name, data in pairs)


def certify(
    key: PublicKey,
    authority: PrivateKey = AUTHORITY,
    *,
    kind: int = CertificateKind.USER,
    principals=("alice",),
    valid=(0, FOREVER),
    critical=(),
    extensions=USER_EXTENSIONS,
    serial: int = 1,
    key_id: str = "test",
    algorithm: str | None = None,
) -> PublicKey:
    """A certificate for `key`, as ssh-keygen -s would make it."""
    name = CERTIFICATE_OF[key.plain_algorithm]
    to_sign = b"".join((
        string(name.encode()),
        string(b"n" * 32),
        *map(string, key.parts),
        serial.to_bytes(8, "big"),
        int(kind).to_bytes(4, "big"),
        string(key_id.encode()),
        string(b"".join(string(p.encode()) for p in principals)),
        *(moment.to_bytes(8, "big") for moment in valid),
        string(options(critical)),
        string(options(extensions)),
        string(b""),
        string(authority.public.blob),
    ))
    return PublicKey.from_blob(to_sign + string(authority.sign(to_sign, algorithm)))
