"""Public keys by name, line and file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.public_key import PublicKey
from qsh.errors import IdentityError
from tests.key_making import ALL_KEYS, AUTHORITY, ECDSA, ED25519, RSA, SecurityKey, certify

LINE = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB4WIgXM2pMS8a5vXRGXNUCFvQnyt/B7kSw6rVVrPBHE me@host here"
)


def test_a_line_gives_key_and_comment():
    key = PublicKey.from_line(LINE)
    assert key.comment == "me@host here"
    assert key.authorized_line() == LINE.rsplit(" ", 2)[0]
    assert key.key_type_name == "ED25519"
    assert key.bits == 256


def test_names_and_sizes():
    keys = [*ALL_KEYS[:4], RSA]
    names = [(key.public.key_type_name, key.public.bits) for key in keys]
    assert names == [
        ("ED25519", 256), ("ECDSA", 256), ("ECDSA", 384), ("ECDSA", 521), ("RSA", 2048),
    ]
    assert SecurityKey().public.key_type_name == "ED25519-SK"
    assert SecurityKey(ecdsa=True).public.bits == 256
    assert certify(RSA.public).key_type_name == "RSA-CERT"


def test_a_certificate_knows_its_key_and_its_authority():
    cert = certify(ED25519.public)
    assert cert.is_certificate
    assert cert.plain == ED25519.public
    assert cert.fingerprint() == ED25519.public.fingerprint()
    assert cert.authority == AUTHORITY.public
    assert ED25519.public.plain is ED25519.public
    with pytest.raises(IdentityError):
        assert ED25519.public.authority


def test_keys_are_equal_by_their_blob():
    again = PublicKey.from_blob(ED25519.public.blob, "another comment")
    assert again == ED25519.public
    assert len({again, ED25519.public}) == 1
    assert ED25519.public != RSA.public
    assert ED25519.public != "key"
    assert "ssh-ed25519 SHA256:" in repr(again)


@pytest.mark.parametrize(
    "line",
    ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-ed25519 AAAA", "ssh-rsa " + LINE.split()[1]],
)
def test_what_is_no_line_is_refused(line):
    with pytest.raises(IdentityError):
        PublicKey.from_line(line)


def test_a_file_may_have_comments(tmp_path):
    path = tmp_path / "key.pub"
    path.write_text(f"# mine\n\n{LINE}\n")
    assert PublicKey.from_file(str(path)) == PublicKey.from_line(LINE)


@pytest.mark.parametrize("content", [b"", b"# only\n", b"garbage\n", b"x" * 2_000_000])
def test_a_file_without_a_key_is_refused_by_name(tmp_path, content):
    path = tmp_path / "key.pub"
    path.write_bytes(content)
    with pytest.raises(IdentityError, match=r"key\.pub"):
        PublicKey.from_file(str(path))


@pytest.mark.parametrize("name", ["missing", ".", "zero\0byte"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(IdentityError):
        PublicKey.from_file(f"{tmp_path}/{name}")


@given(st.text())
def test_any_line_gives_a_key_or_an_identity_error(line):
    with pytest.raises(IdentityError):
        PublicKey.from_line(line)


def test_md5_fingerprint_has_colons():
    fingerprint = ECDSA[256].public.fingerprint("md5")
    assert fingerprint.startswith("MD5:")
    assert fingerprint.count(":") == 16
