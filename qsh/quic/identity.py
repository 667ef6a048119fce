"""The server's TLS identity: a key and certificate for one connection, attested by the host key.

The certificate is self-signed and means nothing by itself. In a private extension it carries an
attestation: the SSH host key (or host certificate), a nonce, and that key's signature over the
certificate's public key, the client's first destination connection ID and the nonce
(PROTOCOL.md, "The host's identity"). Here the formats; signing and verifying are qsh.auth's.
"""

import datetime
from typing import TYPE_CHECKING

from qsh.errors import DecodeError, LocalProtocolError
from qsh.quic.certificate import parse_certificate
from qsh.quic.engine import ServerIdentity
from qsh.record import record
from qsh.wire.codec import Reader, Writer

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

ATTESTATION_OID = "2.25.123930290191619517855320446952151125037"
"""The X.509 extension: a UUID's arc, which needs no registration (ITU-T X.667)."""
ATTESTATION_OID_DER = bytes.fromhex("6981babc8dc3cfa592bddd9c88dcbaaadbbc982d")
"""The same as the content of a DER element."""
NONCE_LENGTH = 32
MAX_ATTESTATION = 12288
"""Bytes of the extension: an RSA-16384 host certificate fits. aioquic cannot write a first flight
of more than 16 384 bytes."""


@record
class EphemeralKey:
    """A P-256 key made for one connection."""

    spki_der: bytes
    """SubjectPublicKeyInfo: what the attestation binds."""
    private_key_der: bytes
    """PKCS#8."""


@record
class Attestation:
    """What the extension holds."""

    host_key_blob: bytes
    """An SSH public key or host certificate (RFC 4253 section 6.6, PROTOCOL.certkeys)."""
    nonce: bytes
    signature: bytes
    """An SSH signature blob over `qsh.auth.signing.attestation_data`."""
    raw: bytes
    """All of it, as it was sent; its hash is part of the session identifier."""


def new_identity_key() -> EphemeralKey:
    """A fresh key; it must not outlive its connection, nor be shared by a fork."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption())
    return EphemeralKey(spki, private)


def encode_attestation(host_key_blob: bytes, nonce: bytes, signature: bytes) -> bytes:
    """The extension's value. Raises LocalProtocolError if a handshake could not carry it."""
    raw = Writer().string(host_key_blob).string(nonce).string(signature).finish()
    if len(raw) > MAX_ATTESTATION:
        raise LocalProtocolError(f"a host key and signature of {len(raw)} bytes are too large")
    return raw


def decode_attestation(raw: bytes) -> Attestation:
    """The inverse of `encode_attestation`. Raises DecodeError."""
    reader = Reader(raw)
    host_key_blob, nonce, signature = reader.string(), reader.string(), reader.string()
    reader.end()
    if len(nonce) != NONCE_LENGTH:
        raise DecodeError(f"a nonce of {len(nonce)} bytes instead of {NONCE_LENGTH}")
    return Attestation(host_key_blob, nonce, signature, raw)


def make_certificate(key: EphemeralKey, attestation: bytes) -> ServerIdentity:
    """A self-signed certificate that carries the attestation.

    Name and dates say nothing, so that no clock can break a login: the nonce and the client's
    connection ID make it fresh.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "qsh")])
    private = _load_private(key.private_key_der)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=private.public_key(),
        serial_number=1,
        not_valid_before=datetime.datetime(1970, 1, 1),
        not_valid_after=datetime.datetime(9999, 12, 31, 23, 59, 59),
    )
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(ATTESTATION_OID), attestation)
    certificate = builder.add_extension(extension, critical=False).sign(private, hashes.SHA256())
    return ServerIdentity(certificate.public_bytes(Encoding.DER), key.private_key_der)


def read_attestation(certificate_der: bytes) -> tuple[Attestation, bytes]:
    """The attestation in a peer's certificate, and the certificate's SubjectPublicKeyInfo.

    Raises DecodeError. The engine has checked that the peer holds the certificate's key; whether
    the attestation is genuine and fresh is for `qsh.auth.signing.verify_attestation` to say.
    """
    spki_der, extensions = parse_certificate(certificate_der)
    for oid, value in extensions:
        if oid == ATTESTATION_OID_DER:
            return decode_attestation(value), spki_der
    raise DecodeError("the server's certificate has no attestation: it is no qshd")


def load_identity(
    identity: ServerIdentity,
) -> tuple["x509.Certificate", "ec.EllipticCurvePrivateKey"]:
    """The objects that an engine built on `cryptography` wants."""
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(identity.certificate_der)
    return certificate, _load_private(identity.private_key_der)


def certificate_bytes(certificate: "x509.Certificate") -> bytes:
    """A certificate object of `cryptography` in DER."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _load_private(private_key_der: bytes) -> "ec.EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    key = load_der_private_key(private_key_der, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
