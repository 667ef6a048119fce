"""Revoked keys: text files, and KRLs built by hand. Those of ssh-keygen: tests/interop."""

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.blobs import mpint, string
from qsh.auth.revoked import load, parse
from qsh.errors import ConfigError, DecodeError
from tests.key_making import AUTHORITY, ED25519, OTHER, RSA, certify

KEY = ED25519.public


def krl(*sections, version=1):
    header = b"SSHKRL\n\0" + version.to_bytes(4, "big") + bytes(24) + string(b"") + string(b"")
    return header + b"".join(bytes((kind,)) + string(data) for kind, data in sections)


def issued(*sections, authority=AUTHORITY.public.blob):
    body = b"".join(bytes((kind,)) + string(data) for kind, data in sections)
    return (1, string(authority) + string(b"") + body)


def u64(*values):
    return b"".join(value.to_bytes(8, "big") for value in values)


def test_text_lists_keys():
    listed = parse(f"# gone\n\n{KEY.authorized_line()} me\r\n".encode())
    assert listed.revokes(KEY)
    assert listed.revokes(certify(KEY))
    assert not listed.revokes(OTHER.public)
    assert parse(AUTHORITY.public.authorized_line().encode()).revokes(certify(KEY))


@pytest.mark.parametrize(
    "section",
    [
        (2, string(KEY.blob)),
        (3, string(hashlib.sha1(KEY.blob).digest())),
        (5, string(hashlib.sha256(KEY.blob).digest())),
    ],
)
def test_a_krl_names_keys(section):
    listed = parse(krl(section))
    assert listed.revokes(KEY)
    assert listed.revokes(certify(KEY))
    assert not listed.revokes(OTHER.public)


@pytest.mark.parametrize(
    ("section", "serials"),
    [
        ((0x20, u64(5, 9)), {5, 9}),
        ((0x21, u64(5, 7)), {5, 6, 7}),
        ((0x22, u64(4) + mpint(0b1011)), {4, 5, 7}),
        ((0x23, string(b"id-6") + string(b"id-8")), {6, 8}),
        ((0x20, u64(0)), set()),
    ],
)
@pytest.mark.parametrize("authority", [AUTHORITY.public.blob, b""])
def test_a_krl_names_certificates(section, serials, authority):
    listed = parse(krl(issued(section, authority=authority)))
    found = {n for n in range(12) if listed.revokes(certify(KEY, serial=n, key_id=f"id-{n}"))}
    assert found == serials
    assert not listed.revokes(KEY)
    elsewhere = certify(KEY, OTHER, serial=5, key_id="id-6")
    assert listed.revokes(elsewhere) is (authority == b"" and bool(serials & {5, 6}))


def test_a_krl_names_an_authority():
    assert parse(krl((2, string(AUTHORITY.public.blob)))).revokes(certify(RSA.public))


def test_a_signed_krl_is_read():
    data = krl((2, string(KEY.blob))) + b"\4" + string(RSA.public.blob) + string(b"signature")
    assert parse(data).revokes(KEY)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\n", krl(version=2), krl((99, b"")), krl((2, b"\0\0\0\5x")), krl()[:-1],
        krl(issued((0x99, b""))), krl(issued((0x21, u64(1)))), krl(issued((0x20, b"123"))),
        krl(issued((0x22, u64(1) + string(b"x" * 200_000)))),
        krl((255, string(b"new@qsh") + b"\1" + string(b""))),
    ],
)
def test_what_is_not_understood_is_no_list(data, tmp_path):
    with pytest.raises(DecodeError):
        parse(data)
    path = tmp_path / "revoked"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="revoked"):
        load(str(path))


def test_an_extension_that_may_be_ignored_is():
    extension = (255, string(b"new@qsh") + b"\0" + string(b"?"))
    assert parse(krl(extension, (2, string(KEY.blob)))).revokes(KEY)


@pytest.mark.parametrize("name", ["missing", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot read"):
        load(f"{tmp_path}/{name}")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_list_or_a_decode_error(data):
    for attempt in (data, krl() + data, krl(issued()) + data):
        with contextlib.suppress(DecodeError):
            assert not parse(attempt).revokes(certify(KEY))
