"""DNS messages: what is asked, and what an answer may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.net.dns_wire import SSHFP, decode_answer, encode_query, encode_question

QUERY = encode_query(0x1234, "host.example.org", SSHFP)


def answer(*records, number=0x1234, flags=0x81A0, name="host.example.org", owner=b"\xc0\x0c"):
    """An answer with records (type, class, data)."""
    head = b"".join(n.to_bytes(2, "big") for n in (number, flags, 1, len(records), 0, 0))
    body = b"".join(
        owner + kind.to_bytes(2, "big") + cls.to_bytes(2, "big") + bytes(4)
        + len(data).to_bytes(2, "big") + data
        for kind, cls, data in records
    )  # fmt: skip
    return head + encode_question(name, SSHFP) + body


def decoded(data):
    return decode_answer(data, 0x1234, "host.example.org", SSHFP)


def test_a_question():
    assert QUERY.hex() == (
        "1234" "0120" "0001000000000001"
        "04686f7374076578616d706c65036f726700" "002c" "0001"
        "00" "0029" "04d0" "00000000" "0000"
    )  # fmt: skip


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, ".".join(["abcdefg"] * 40)])
def test_what_is_no_name(name):
    with pytest.raises(ValueError):
        encode_query(1, name, SSHFP)


def test_records_of_the_type_asked_for():
    seen = decoded(answer((5, 1, b"\x01a\x00"), (SSHFP, 1, b"\x04\x02x"), (SSHFP, 3, b"chaos")))
    assert seen.records == (b"\x04\x02x",)
    assert seen.is_authentic
    assert seen.code == 0


def test_names_may_be_written_out():
    assert decoded(answer((SSHFP, 1, b"x"), owner=b"\x01a\x00")).records == (b"x",)


def test_without_validation_and_with_an_error():
    seen = decoded(answer(flags=0x8183))
    assert (seen.is_authentic, seen.code, seen.records) == (False, 3, ())


def test_what_did_not_fit():
    seen = decoded(answer((SSHFP, 1, b"x"), flags=0x8380))
    assert (seen.is_truncated, seen.records) == (True, ())


@pytest.mark.parametrize(
    "data",
    [b"", QUERY, answer(number=0x1235), answer(name="other.example.org"),
     answer((SSHFP, 1, b"xyz"))[:-1], answer((SSHFP, 1, b"xyz"), owner=b"\x05abc")],
)  # fmt: skip
def test_what_is_no_answer_to_this(data):
    with pytest.raises(DecodeError):
        decoded(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_answer_or_one_error(tail):
    for data in (tail, answer((SSHFP, 1, b"xyz"))[:12] + QUERY[12:34] + tail):
        try:
            decoded(data)
        except DecodeError:
            continue
