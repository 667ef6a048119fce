"""Signatures of every type verify, and nothing else does."""

import base64

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.blobs import string
from qsh.auth.private_key import from_cryptography
from qsh.auth.signatures import login_algorithms, signature_algorithm
from tests.key_making import ALL_KEYS, ED25519, RSA, SecurityKey, certify

SIGNERS = [(key.public, key.sign(b"data")) for key in ALL_KEYS] + [
    (key.public, key.sign(b"data")) for key in (SecurityKey(), SecurityKey(ecdsa=True))
]


@pytest.mark.parametrize(("key", "signature"), SIGNERS)
def test_a_signature_is_good_for_its_data_and_key_only(key, signature):
    assert key.verify(b"data", signature)
    assert not key.verify(b"date", signature)
    for other, _ in SIGNERS:
        assert other == key or not other.verify(b"data", signature)


@pytest.mark.parametrize(("key", "signature"), SIGNERS)
def test_a_signature_cut_or_lengthened_is_bad(key, signature):
    assert not any(key.verify(b"data", signature[:end]) for end in range(len(signature)))
    assert not key.verify(b"data", signature + b"\0")


@given(st.sampled_from(SIGNERS), st.binary(max_size=200))
def test_any_bytes_are_just_a_bad_signature(signer, data):
    key, signature = signer
    assert not key.verify(b"data", data)
    name = 4 + int.from_bytes(signature[:4], "big")
    assert not key.verify(b"data", signature[:name] + data)


def test_rsa_signs_with_sha2_only():
    private = rsa.generate_private_key(65537, 2048)
    key = from_cryptography(private).public
    sha1 = private.sign(b"data", padding.PKCS1v15(), hashes.SHA1())
    for name in (b"ssh-rsa", b"rsa-sha2-256", b"rsa-sha2-512"):
        assert not key.verify(b"data", string(name) + string(sha1))
    assert "ssh-rsa" not in key.signature_algorithms


def test_the_algorithm_must_be_allowed():
    signature = RSA.sign(b"data", "rsa-sha2-256")
    assert RSA.public.verify(b"data", signature, ("rsa-sha2-256",))
    assert not RSA.public.verify(b"data", signature, ("rsa-sha2-512",))
    assert not RSA.public.verify(b"data", signature, ())


def test_an_rsa_signature_without_its_leading_zeros_is_good():
    for counter in range(2000):
        data = b"%d" % counter
        signature = RSA.sign(data, "rsa-sha2-256")
        value = signature[4 + 12 + 4 :]
        if value[0] == 0:
            assert RSA.public.verify(data, string(b"rsa-sha2-256") + string(value.lstrip(b"\0")))
            return
    pytest.skip("no signature began with zero in 2000 tries")


@pytest.mark.parametrize("ecdsa", [False, True])
def test_a_security_key_tells_of_touch_and_pin(ecdsa):
    key = SecurityKey(ecdsa)
    untouched, touched, verified = (key.sign(b"data", flags=flags) for flags in (0, 1, 5))
    assert not key.public.verify(b"data", untouched)
    assert key.public.verify(b"data", untouched, touch_required=False)
    assert not key.public.verify(b"data", touched, verify_required=True)
    assert key.public.verify(b"data", verified, verify_required=True)


def test_a_security_key_signs_flags_counter_and_application():
    key = SecurityKey()
    signature = bytearray(key.sign(b"data", flags=0))
    signature[-5] = 1
    assert not key.public.verify(b"data", bytes(signature))
    assert not SecurityKey(application="ssh:other").public.verify(b"data", key.sign(b"data"))


def webauthn_signature(key, data, origin=b"https://example.org", client_data=None):
    """As a browser makes it (PROTOCOL.u2f, webauthn signatures)."""
    challenge = base64.urlsafe_b64encode(data).rstrip(b"=")
    client_data = client_data or (
        b'{"type":"webauthn.get","challenge":"%s","origin":"%s","crossOrigin":false}'
        % (challenge, origin)
    )
    plain = key.sign(client_data)
    name = string(key.algorithm.encode())
    return (
        string(b"webauthn-" + key.algorithm.encode())
        + plain[len(name) :]
        + string(origin)
        + string(client_data)
        + string(b"")
    )


def test_a_browser_can_sign():
    key = SecurityKey(ecdsa=True)
    assert key.public.verify(b"data", webauthn_signature(key, b"data"))
    assert not key.public.verify(b"other", webauthn_signature(key, b"data"))
    assert not key.public.verify(b"data", webauthn_signature(key, b"data", b'https://"e'))
    forged = b'{"type":"webauthn.create","challenge":"ZGF0YQ","origin":"https://example.org"}'
    assert not key.public.verify(b"data", webauthn_signature(key, b"data", client_data=forged))


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("ssh-ed25519", "ssh-ed25519"),
        ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"),
        ("rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-256"),
        ("sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com"),
        ("rsa-sha2-512", "rsa-sha2-512"),
    ],
)
def test_a_login_algorithm_names_the_signature_in_it(name, inner):
    assert signature_algorithm(name) == inner


def test_login_algorithms_of_keys_and_certificates():
    assert login_algorithms(ED25519.public) == ("ssh-ed25519",)
    assert login_algorithms(RSA.public) == ("rsa-sha2-512", "rsa-sha2-256")
    assert login_algorithms(certify(RSA.public)) == (
        "rsa-sha2-512-cert-v01@openssh.com",
        "rsa-sha2-256-cert-v01@openssh.com",
    )
    assert login_algorithms(certify(ED25519.public)) == ("ssh-ed25519-cert-v01@openssh.com",)
    for key in ALL_KEYS:
        for cert in (key.public, certify(key.public)):
            inner = {signature_algorithm(name) for name in login_algorithms(cert)}
            assert inner == set(cert.signature_algorithms)
