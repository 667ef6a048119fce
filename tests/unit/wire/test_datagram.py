"""Flow identifiers: RFC 9000's own examples, and any bytes."""

import pytest
from aioquic.buffer import encode_uint_var
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.wire.datagram import (
    MAX_VARINT,
    by_stream,
    decode_varint,
    encode_datagrams,
    encode_varint,
)


@pytest.mark.parametrize(
    ("stream", "value"),  # RFC 9000 appendix A.1
    [
        ("c2197c5eff14e88c", 151288809941952652),
        ("9d7f3e7d", 494878333),
        ("7bbd", 15293),
        ("25", 37),
        ("4025", 37),
    ],
)
def test_the_examples_of_the_rfc(stream: str, value: int) -> None:
    assert decode_varint(bytes.fromhex(stream)) == (value, len(stream) // 2)


@given(st.integers(0, MAX_VARINT))
def test_a_stream_is_told_as_aioquic_tells_it(stream_id: int) -> None:
    assert encode_varint(stream_id) == encode_uint_var(stream_id)


STREAM_ID = st.integers(0, 70) | st.integers(0, MAX_VARINT)


@given(st.lists(st.tuples(STREAM_ID, st.binary(max_size=20))))
def test_datagrams_come_back_in_the_order_of_their_stream(sent: list[tuple[int, bytes]]) -> None:
    datagrams = [data for stream_id, payload in sent
                 for data in encode_datagrams(stream_id, [payload])]  # fmt: skip
    expected: dict[int, list[bytes]] = {}
    for stream_id, payload in sent:
        expected.setdefault(stream_id, []).append(payload)
    assert by_stream(datagrams) == expected


@given(st.lists(st.binary(max_size=12)))
def test_any_bytes(datagrams: list[bytes]) -> None:
    try:
        found = by_stream(datagrams)
    except DecodeError:
        return
    assert all(0 <= stream_id <= MAX_VARINT for stream_id in found)
    assert sum(map(len, found.values())) == len(datagrams)
