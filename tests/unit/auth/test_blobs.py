"""Public key blobs: what is well formed, and that any bytes give an answer."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth import blobs
from qsh.auth.blobs import mpint, string
from qsh.errors import IdentityError
from tests.key_making import ALL_KEYS, AUTHORITY, ED25519, RSA, SecurityKey, certify

KEYS = [key.public for key in ALL_KEYS] + [SecurityKey().public, SecurityKey(True).public]
BLOBS = [key.blob for key in KEYS] + [certify(key).blob for key in KEYS]


@pytest.mark.parametrize("blob", BLOBS)
def test_every_type_is_taken_apart(blob):
    parsed = blobs.parse(blob)
    assert parsed.algorithm == blobs.algorithm_of(blob)
    assert (parsed.certificate is None) == (parsed.plain_blob == blob)


@pytest.mark.parametrize("blob", BLOBS)
def test_a_blob_cut_anywhere_is_refused(blob):
    for end in range(0, len(blob), 7):
        with pytest.raises(IdentityError):
            blobs.parse(blob[:end])
    with pytest.raises(IdentityError):
        blobs.parse(blob + b"\0")


@pytest.mark.parametrize(
    "blob",
    [
        string(b"ssh-dss") + string(b"\1") * 4,
        string(b"ssh-ed25519") + string(b"x" * 31),
        string(b"ssh-rsa") + mpint(65537) + mpint(1 << 1000),
        string(b"ssh-rsa") + mpint(65537) + mpint(1 << 20000),
        string(b"ssh-rsa") + mpint(1) + string(RSA.public.parts[1]),
        string(b"ssh-rsa") + mpint(65536) + string(RSA.public.parts[1]),
        string(b"ssh-rsa") + string(b"\0\1\0\1") + string(RSA.public.parts[1]),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp384") + string(b"\4" + b"x" * 64),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\2" + b"x" * 64),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\4" + b"x" * 63),
        b"\xff" * 300_000,
    ],
)
def test_what_no_sound_key_has_is_refused(blob):
    with pytest.raises(IdentityError):
        blobs.parse(blob)


def test_a_certificate_cannot_sign_a_certificate():
    class Chained:
        public = certify(ED25519.public)

        def sign(self, data, algorithm):
            return ED25519.sign(data)

    with pytest.raises(IdentityError, match="signed by a certificate"):
        certify(ED25519.public, Chained())


@pytest.mark.parametrize(
    "blob", [b"", string(b"ssh-dss"), string(b"ssh-ed25519") + string(b"x" * 31)]
)
def test_an_authority_that_is_no_key_makes_no_certificate(blob):
    cert = certify(ED25519.public, AUTHORITY)
    with pytest.raises(IdentityError):
        blobs.parse(cert.blob.replace(string(AUTHORITY.public.blob), string(blob)))


def test_certificates_nested_without_end_are_refused():
    blob = ED25519.public.blob
    cert = certify(ED25519.public, AUTHORITY).blob
    while len(blob) < blobs.MAX_BLOB - 2 * len(cert):
        blob = cert.replace(string(AUTHORITY.public.blob), string(blob))
    with pytest.raises(IdentityError, match="signed by a certificate"):
        blobs.parse(blob)


def test_what_the_authority_signed_is_all_but_the_signature():
    cert = certify(ED25519.public)
    assert cert.certificate.signed + string(cert.certificate.signature) == cert.blob


@given(st.binary(max_size=300))
def test_any_bytes_give_a_key_or_an_identity_error(data):
    with pytest.raises(IdentityError):
        blobs.parse(data)


@given(st.sampled_from(BLOBS), st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_gives_a_key_or_an_identity_error(blob, place, value):
    changed = bytearray(blob)
    changed[place % len(blob)] = value
    with contextlib.suppress(IdentityError):
        assert blobs.parse(bytes(changed)).algorithm in blobs.ALGORITHMS


@given(st.integers(1, 1 << 700))
def test_mpint_is_read_back(value):
    raw = mpint(value)
    assert blobs.positive(raw[4:]) == value
