import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.server.listener.cid_router import (
    GREASE_VERSION,
    VERSION_1,
    initial_token,
    parse_header,
    version_negotiation,
)

DCID = bytes(range(16))
SCID = b"client"


def long_header(version=VERSION_1, kind=0, dcid=DCID, scid=SCID, rest=b"\x00rest"):
    first = bytes((0xC0 | kind << 4,))
    ids = bytes((len(dcid),)) + dcid + bytes((len(scid),)) + scid
    return first + version.to_bytes(4, "big") + ids + rest


def test_initial():
    header = parse_header(long_header())
    assert header.is_initial
    assert (header.destination, header.source, header.version) == (DCID, SCID, VERSION_1)


def test_short_header_has_an_id_of_our_length():
    header = parse_header(b"\x40" + DCID + b"payload")
    assert not header.is_long
    assert header.destination == DCID


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_other_long_packets_are_no_initial(kind):
    assert not parse_header(long_header(kind=kind)).is_initial


def test_initial_of_another_version_is_none_of_ours():
    assert not parse_header(long_header(version=2)).is_initial


@pytest.mark.parametrize("data", [b"", b"\x40short", b"\xc0\x00\x00", long_header()[:20]])
def test_cut_short_is_no_header(data):
    assert parse_header(data) is None


@given(st.binary(max_size=80))
def test_any_bytes_give_a_header_or_none(data):
    header = parse_header(data)
    if header is not None:
        token = initial_token(data, header)
        assert token is None or token in data


@pytest.mark.parametrize(
    ("field", "token"),
    [
        (b"\x00", b""),
        (b"\x03abc", b"abc"),
        (b"\x40\x03abc", b"abc"),
        (b"\x05abc", None),
        (b"", None),
    ],
)
def test_token(field, token):
    data = long_header(rest=field)
    assert initial_token(data, parse_header(data)) == token


def test_version_negotiation_mirrors_the_ids():
    packet = version_negotiation(parse_header(long_header(version=0xFACE)), 0xFF)
    header = parse_header(packet)
    assert header.version == 0
    assert (header.destination, header.source) == (SCID, DCID)
    versions = packet[header.end :]
    assert versions == VERSION_1.to_bytes(4, "big") + GREASE_VERSION.to_bytes(4, "big")
