"""DATAGRAMs beside the flows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.wire.aside import LARGE_WANTED, decode_copy, divide, encode_copy, filling
from qsh.wire.datagram import MAX_VARINT, encode_datagrams

NUMBER = st.integers(0, MAX_VARINT)


@given(NUMBER, NUMBER, st.binary(min_size=1))
def test_a_copy_comes_back_as_it_was(stream_id, offset, data):
    assert decode_copy(encode_copy(stream_id, offset, data)) == (stream_id, offset, data)


@given(st.binary())
def test_any_bytes_are_a_copy_or_an_error(data):
    try:
        stream_id, offset, copy = decode_copy(b"\x03" + data)
    except DecodeError:
        return
    assert copy
    assert stream_id >= 0 <= offset


def test_a_copy_of_nothing_is_none():
    with pytest.raises(DecodeError):
        decode_copy(encode_copy(0, 0, b""))


def test_flows_keep_what_is_theirs():
    flow = encode_datagrams(4, [b"a", b"b"])
    aside = [LARGE_WANTED, filling(1100), encode_copy(0, 7, b"x")]
    assert divide([flow[0], *aside, flow[1]]) == (flow, aside)


@pytest.mark.parametrize("largest", [40, 1150, 1400])
def test_a_filling_fits(largest):
    assert 1 < len(filling(largest)) <= largest
