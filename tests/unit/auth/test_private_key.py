"""Private keys: signing, certificates, and files that are broken. Real files: tests/interop."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.blobs import string
from qsh.auth.generate import new_ed25519
from qsh.auth.keys import PassphraseNeeded, load_private, parse_private, public_of
from qsh.errors import IdentityError
from tests.key_making import ALL_KEYS, ED25519, OTHER, RSA, certify

FILE, LINE = new_ed25519()


@pytest.mark.parametrize("key", ALL_KEYS)
def test_a_key_signs_under_each_of_its_names(key):
    for name in key.public.signature_algorithms:
        assert key.public.verify(b"data", key.sign(b"data", name), (name,))


def test_a_key_does_not_sign_under_another_name():
    for key, name in ((ED25519, "rsa-sha2-512"), (RSA, "ssh-rsa"), (RSA, "none")):
        with pytest.raises(IdentityError, match="cannot sign"):
            key.sign(b"data", name)


def test_a_certificate_is_for_its_own_key():
    certificate = certify(ED25519.public)
    assert ED25519.with_certificate(certificate).public == certificate
    assert certificate.verify(b"x", ED25519.with_certificate(certificate).sign(b"x"))
    with pytest.raises(IdentityError):
        OTHER.with_certificate(certificate)


def test_a_key_shows_no_secret():
    assert "SHA256:" in repr(ED25519)
    assert len(repr(ED25519)) < 90


def test_a_file_others_can_read_is_refused(tmp_path):
    path = tmp_path / "id"
    path.write_bytes(FILE)
    path.chmod(0o640)
    with pytest.raises(IdentityError, match=r"permissions 0640 are too open"):
        load_private(str(path))
    path.chmod(0o600)
    assert load_private(str(path)).public.authorized_line() == LINE


def test_the_public_half_comes_from_either_file(tmp_path):
    path = tmp_path / "id"
    path.write_bytes(FILE)
    assert public_of(str(path)).authorized_line() == LINE
    (tmp_path / "only.pub").write_text(LINE)
    assert public_of(str(tmp_path / "only")).authorized_line() == LINE
    assert public_of(str(tmp_path / "only.pub")).authorized_line() == LINE
    assert public_of(str(tmp_path / "missing")) is None


def container(private, *, cipher=b"none", count=1, magic=b"openssh-key-v1\0"):
    raw = (
        magic + string(cipher) + string(b"none") + string(b"") + count.to_bytes(4, "big")
        + string(ED25519.public.blob) + string(private)
    )
    body = base64.encodebytes(raw)
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + body + b"-----END OPENSSH PRIVATE KEY-----\n"


CHECK = b"abcdabcd"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n!!\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
        container(b"", magic=b"another magic!\0"),
        container(b"", count=2),
        container(b"abcdabce"),
        container(CHECK),
        container(CHECK + string(b"ssh-dss")),
        container(CHECK + string(b"ssh-ed25519") + string(b"x" * 32) + string(b"y" * 64)),
        container(CHECK + string(b"ssh-ed25519") + string(b"x" * 32) + string(b"y" * 32)),
        container(CHECK + string(b"ssh-rsa") + string(b"\1") * 6),
        container(CHECK + string(b"ecdsa-sha2-nistp256") + string(b"nistp256")
                  + string(b"\4" + b"x" * 64) + string(b"\0")),
        container(CHECK + string(b"ecdsa-sha2-nistp256") + string(b"nistp256")
                  + string(b"\4" + b"x" * 64) + string(b"\5")),
        container(CHECK + string(b"sk-ssh-ed25519@openssh.com") + string(b"x" * 32)),
    ],
)
def test_a_broken_file_is_an_identity_error(data):
    with pytest.raises(IdentityError):
        parse_private(data)


def test_an_encrypted_file_wants_a_passphrase_and_tells_its_key():
    with pytest.raises(PassphraseNeeded) as caught:
        parse_private(container(b"x" * 64, cipher=b"aes256-ctr"))
    assert caught.value.public == ED25519.public


@given(st.binary(max_size=400))
def test_any_private_part_gives_a_key_or_an_identity_error(data):
    with pytest.raises(IdentityError):
        parse_private(container(CHECK + data))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_key_or_an_identity_error(data):
    with pytest.raises(IdentityError):
        parse_private(b"-----BEGIN OPENSSH PRIVATE KEY-----" + data)


@given(st.sampled_from(["RSA", "EC", "DSA", "ENCRYPTED", ""]), st.binary(max_size=200))
def test_any_pem_gives_a_key_or_an_identity_error(name, data):
    label = f"{name} PRIVATE KEY".strip().encode()
    body = base64.encodebytes(data)
    with pytest.raises(IdentityError):
        parse_private(b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, body, label))


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(IdentityError, match="No such file"):
        load_private(str(tmp_path / "missing"))
    with pytest.raises(IdentityError, match="Is a directory"):
        load_private(str(tmp_path))
