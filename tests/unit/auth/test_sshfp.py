"""Fingerprints of host keys in the DNS."""

from hashlib import sha1, sha256

import pytest

from qsh.auth.sshfp import matches
from tests.key_making import ECDSA, ED25519, OTHER, RSA


def rdata(key, number, kind=2):
    digest = {1: sha1, 2: sha256}[kind]
    return bytes((number, kind)) + digest(key.public.blob).digest()


@pytest.mark.parametrize(("key", "number"), [(RSA, 1), (ECDSA[256], 3), (ED25519, 4)])
def test_a_match(key, number):
    assert matches([rdata(OTHER, number), rdata(key, number)], key.public)
    assert matches([rdata(key, number, 1)], key.public)
    assert not matches([rdata(key, number % 4 + 1)], key.public)
    assert not matches([], key.public)


def test_sha1_counts_only_alone():
    assert not matches([rdata(ED25519, 4, 1), rdata(OTHER, 4)], ED25519.public)
    assert matches([rdata(ED25519, 4, 1), rdata(OTHER, 1)], ED25519.public)


@pytest.mark.parametrize("record", [b"", b"\x04", b"\x04\x02", b"\x04\x02\x00", b"\x04\x09abc"])
def test_nonsense_matches_nothing(record):
    assert not matches([record], ED25519.public)
