"""A signature is worth something on its own connection alone."""

import os
from dataclasses import dataclass, replace

import pytest

from qsh.auth.keys import login_algorithms
from qsh.auth.signing import (
    attestation_data,
    session_identifier,
    sign_userauth,
    userauth_data,
    verify_attestation,
    verify_userauth,
)
from qsh.errors import HostKeyError, IdentityError
from tests.key_making import ALL_KEYS, ED25519, OTHER, RSA, SecurityKey, certify

SPKI = os.urandom(91)
ODCID = os.urandom(16)
NONCE = os.urandom(32)
EXPORTER = os.urandom(32)


@dataclass(frozen=True)
class Attestation:
    host_key_blob: bytes
    nonce: bytes
    signature: bytes

    @property
    def raw(self):
        return self.host_key_blob + self.nonce + self.signature


def attest(host, spki=SPKI, odcid=ODCID, public=None):
    blob = (public or host.public).blob
    return Attestation(blob, NONCE, host.sign(attestation_data(spki, odcid, NONCE, blob)))


@pytest.mark.parametrize("host", ALL_KEYS)
def test_a_host_proves_its_key_for_one_tls_key_and_one_connection(host):
    attestation = attest(host)
    assert verify_attestation(attestation, SPKI, ODCID) == host.public
    for spki, odcid in ((os.urandom(91), ODCID), (SPKI, os.urandom(16)), (SPKI, b"short")):
        with pytest.raises(HostKeyError):
            verify_attestation(attestation, spki, odcid)


def test_a_host_certificate_is_attested_by_its_key():
    certificate = certify(ED25519.public, kind=2, principals=("host",))
    assert verify_attestation(attest(ED25519, public=certificate), SPKI, ODCID) == certificate
    with pytest.raises(HostKeyError):
        verify_attestation(attest(OTHER, public=certificate), SPKI, ODCID)


@pytest.mark.parametrize(
    "change", [{"nonce": b"n" * 31}, {"host_key_blob": b"junk"}, {"signature": b""},
               {"host_key_blob": OTHER.public.blob}, {"nonce": b"n" * 32}]
)
def test_a_malformed_attestation_is_a_host_key_error(change):
    with pytest.raises(HostKeyError):
        verify_attestation(replace(attest(ED25519), **change), SPKI, ODCID)


def test_an_attestation_is_no_ssh_exchange_hash():
    assert attestation_data(b"spki", b"odcid", b"nonce", b"key") == (
        b"\0\0\0\x14host-attestation@qsh\0\0\0\4spki\0\0\0\5odcid\0\0\0\5nonce\0\0\0\3key"
    )
    assert len(attestation_data(b"", b"", b"", b"")) < 64 < len(attestation_data(
        SPKI, ODCID, NONCE, ED25519.public.blob))


def test_the_session_identifier_names_exporter_and_attestation():
    one = session_identifier(EXPORTER, b"attestation")
    assert len(one) == 64
    assert one != session_identifier(os.urandom(32), b"attestation")
    assert one != session_identifier(EXPORTER, b"attestatiom")
    with pytest.raises(ValueError):
        session_identifier(b"short", b"attestation")


def test_the_data_is_that_of_rfc_4252():
    data = userauth_data(b"S", "u", "ssh-ed25519", b"K", None)
    assert data == (
        b"\0\0\0\1S" b"\x32" b"\0\0\0\1u" b"\0\0\0\x0essh-connection" b"\0\0\0\x09publickey"
        b"\1" b"\0\0\0\x0bssh-ed25519" b"\0\0\0\1K"
    )
    bound = userauth_data(b"S", "u", "ssh-ed25519", b"K", b"H")
    assert b"publickey-hostbound-v00@openssh.com" in bound
    assert bound.endswith(b"\0\0\0\1K\0\0\0\1H")


def login(key, session_id, user="alice", algorithm=None, host=None):
    name = algorithm or login_algorithms(key.public)[0]
    return name, sign_userauth(key.sign, key.public, session_id, user, name, host)


@pytest.mark.parametrize("key", ALL_KEYS)
@pytest.mark.parametrize("host", [None, b"host key"])
def test_a_login_verifies_for_its_session_user_and_host(key, host):
    session_id = session_identifier(EXPORTER, b"a")
    name, signature = login(key, session_id, host=host)

    def good(session_id=session_id, user="alice", name=name, host=host, key=key.public):
        return verify_userauth(key, session_id, user, name, signature, host_key_blob=host)

    assert good()
    assert not good(session_id=session_identifier(os.urandom(32), b"a"))
    assert not good(session_id=session_identifier(EXPORTER, b"b"))
    assert not good(user="bob")
    assert not good(host=b"another host key" if host else b"host key")
    assert not good(key=certify(key.public))


def test_a_malicious_server_cannot_replay_a_login_to_another_server():
    """Mallory, to whom the user logs in, opens a connection of its own to Bob's server and hands
    the signature on. Bob's identifier comes from Bob's handshake and Bob's attestation: neither
    can be made equal, whatever Mallory attests to the user."""
    mallory_attestation = attest(OTHER)
    to_mallory = session_identifier(os.urandom(32), mallory_attestation.raw)
    name, signature = login(ED25519, to_mallory)
    assert verify_userauth(ED25519.public, to_mallory, "alice", name, signature)

    bob_attestation = attest(RSA)
    to_bob = session_identifier(os.urandom(32), bob_attestation.raw)
    assert not verify_userauth(ED25519.public, to_bob, "alice", name, signature)
    # Not even with the very same TLS secrets: the host key itself is in the identifier.
    same_exporter = session_identifier(EXPORTER, mallory_attestation.raw)
    name, signature = login(ED25519, same_exporter)
    relayed = session_identifier(EXPORTER, bob_attestation.raw)
    assert not verify_userauth(ED25519.public, relayed, "alice", name, signature)
    # Bob's attestation cannot be shown by Mallory, whose TLS key it does not name.
    with pytest.raises(HostKeyError):
        verify_attestation(bob_attestation, os.urandom(91), ODCID)


def test_the_signature_must_bear_the_algorithm_of_the_request():
    session_id = session_identifier(EXPORTER, b"a")
    _, signature = login(RSA, session_id, algorithm="rsa-sha2-256")
    for name in ("rsa-sha2-512", "ssh-rsa", "ssh-ed25519", "rsa-sha2-256-cert-v01@openssh.com"):
        assert not verify_userauth(RSA.public, session_id, "alice", name, signature)
    with pytest.raises(IdentityError):
        login(RSA, session_id, algorithm="ssh-rsa")


def test_a_certificate_logs_in_by_its_own_name():
    key = RSA.with_certificate(certify(RSA.public))
    session_id = session_identifier(EXPORTER, b"a")
    name, signature = login(key, session_id)
    assert name == "rsa-sha2-512-cert-v01@openssh.com"
    assert verify_userauth(key.public, session_id, "alice", name, signature)
    assert not verify_userauth(RSA.public, session_id, "alice", "rsa-sha2-512", signature)


def test_touch_and_pin_are_asked_of_a_security_key():
    key = SecurityKey()
    data = userauth_data(b"s", "alice", key.algorithm, key.public.blob, None)
    touched = key.sign(data, flags=1)

    def good(signature, **wanted):
        return verify_userauth(key.public, b"s", "alice", key.algorithm, signature, **wanted)

    assert good(touched)
    assert not good(touched, verify_required=True)
    assert good(key.sign(data, flags=4), touch_required=False, verify_required=True)
    assert not good(key.sign(data, flags=0))
