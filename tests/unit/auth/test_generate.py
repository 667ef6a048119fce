"""A new key is one that all the rest can use."""

from qsh.auth.generate import new_ed25519
from qsh.auth.private_key import parse_private


def test_a_new_key_signs_as_its_public_half_says():
    private, line = new_ed25519()
    key = parse_private(private)
    assert key.public.authorized_line() == line
    assert key.public.verify(b"data", key.sign(b"data"))


def test_every_key_is_another():
    assert new_ed25519() != new_ed25519()
