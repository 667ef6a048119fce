import contextlib
import datetime
import os
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError, LocalProtocolError
from qsh.quic.certificate import parse_certificate
from qsh.quic.identity import (
    ATTESTATION_OID,
    ATTESTATION_OID_DER,
    MAX_ATTESTATION,
    NONCE_LENGTH,
    decode_attestation,
    encode_attestation,
    make_certificate,
    new_identity_key,
    read_attestation,
)
from tests.unit.quic.simulation import ENGINE_PAIRS, Pair, identity

SIZES = {
    # host key blob and signature blob in bytes, and datagrams of the server's first flight
    "ed25519": (51, 83, 1),
    "ecdsa-p521": (172, 180, 2),
    "rsa-3072": (407, 404, 2),
    "rsa-4096-certificate": (1750, 532, 3),
}


def test_attestation_comes_back_from_the_certificate():
    key = new_identity_key()
    raw = encode_attestation(b"host key", b"n" * NONCE_LENGTH, b"signature")
    attestation, spki = read_attestation(make_certificate(key, raw).certificate_der)
    assert attestation.host_key_blob == b"host key"
    assert attestation.nonce == b"n" * NONCE_LENGTH
    assert attestation.signature == b"signature"
    assert attestation.raw == raw
    assert spki == key.spki_der


def test_our_parser_agrees_with_another():
    certificate_der = identity().certificate_der
    certificate = x509.load_der_x509_certificate(certificate_der)
    spki, extensions = parse_certificate(certificate_der)
    form = PublicFormat.SubjectPublicKeyInfo
    assert spki == certificate.public_key().public_bytes(Encoding.DER, form)
    (extension,) = certificate.extensions
    assert extensions == [(ATTESTATION_OID_DER, extension.value.value)]
    assert extension.oid.dotted_string == ATTESTATION_OID
    assert not extension.critical


def test_certificates_of_others_are_read_too():
    """With a critical extension before ours, and more names and extensions than we would make."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 60)] * 4)
    raw = encode_attestation(b"k" * 3000, bytes(NONCE_LENGTH), b"s" * 600)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 1 << 120,
        datetime.datetime(2020, 1, 1), datetime.datetime(2090, 1, 1),
    )  # fmt: skip
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    ours = x509.UnrecognizedExtension(x509.ObjectIdentifier(ATTESTATION_OID), raw)
    builder = builder.add_extension(ours, critical=True)
    certificate_der = builder.sign(key, None).public_bytes(Encoding.DER)
    attestation, spki = read_attestation(certificate_der)
    assert attestation.raw == raw
    assert spki == key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_certificate_without_attestation_is_no_qshd():
    certificate_der = identity().certificate_der.replace(ATTESTATION_OID_DER, bytes(20))
    with pytest.raises(DecodeError, match="no qshd"):
        read_attestation(certificate_der)


def test_nonce_must_have_its_length():
    with pytest.raises(DecodeError, match="nonce"):
        decode_attestation(encode_attestation(b"key", b"short", b"signature"))


def test_an_attestation_that_fits_no_handshake_is_refused():
    with pytest.raises(LocalProtocolError):
        encode_attestation(bytes(MAX_ATTESTATION), bytes(32), b"")


def test_keys_and_certificates_are_made_quickly():
    raw = encode_attestation(bytes(51), bytes(32), bytes(83))
    make_certificate(new_identity_key(), raw)
    start = time.perf_counter()
    for _ in range(10):
        make_certificate(new_identity_key(), raw)
    assert time.perf_counter() - start < 2.0, "it is on the path of every login"


@given(st.binary(max_size=400))
def test_any_bytes_are_an_attestation_or_a_decode_error(data):
    with contextlib.suppress(DecodeError):
        assert decode_attestation(data).raw == data


@given(st.binary(max_size=400))
def test_any_bytes_are_a_certificate_or_a_decode_error(data):
    with contextlib.suppress(DecodeError):
        read_attestation(data)


@given(st.integers(0, 10_000), st.binary(min_size=0, max_size=4), st.booleans())
def test_a_changed_certificate_is_read_or_a_decode_error(position, change, insert):
    original = identity().certificate_der
    position %= len(original)
    end = position if insert else position + len(change)
    changed = original[:position] + change + original[end:]
    with contextlib.suppress(DecodeError):
        read_attestation(changed)


@pytest.mark.parametrize("engines", ENGINE_PAIRS, ids="-to-".join)
@pytest.mark.parametrize("kind", SIZES)
def test_first_flight_fits_what_one_initial_allows(engines, kind):
    """RFC 9000 section 8.1: 3 times 1200 bytes, or the handshake takes another round trip."""
    host_key_size, signature_size, datagrams = SIZES[kind]
    pair = Pair(engines, identity=identity(host_key_size, signature_size))
    pair.flush(pair.client)
    pair.client.muted = True
    pair.run(0.05)
    sizes = [len(datagram) for datagram in pair.sent("server")]
    assert sum(sizes) <= 3 * sum(map(len, pair.sent("client")))
    if engines == ("aioquic", "aioquic"):
        # quinn adds up to 1.2 KB: an ML-KEM share, and reset token and GREASE in its parameters.
        assert len(sizes) == datagrams
    fresh = Pair(engines, identity=identity(host_key_size, signature_size))
    start = fresh.now
    fresh.run(2, lambda: fresh.client.handshaken)
    assert fresh.now - start < 2.5 * fresh.link.latency, "one round trip"


def test_keys_are_fresh():
    assert len({new_identity_key().spki_der for _ in range(3)}) == 3
    assert os.urandom(16) not in new_identity_key().private_key_der
