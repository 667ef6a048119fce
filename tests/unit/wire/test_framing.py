"""Messages out of a stream: cut anywhere, bounded everywhere, data as it arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError, RemoteProtocolError
from qsh.wire.framing import (
    MAX_DATA_MESSAGE,
    MAX_MESSAGE,
    DataChunk,
    FrameReader,
    data_head,
    frame,
)


def read(reader: FrameReader, stream: bytes, cuts: list[int]) -> list[bytes | DataChunk]:
    items: list[bytes | DataChunk] = []
    for cut in [*cuts, len(stream)]:
        items += reader.receive(stream[:cut])
        stream = stream[cut:]
    return items


@given(st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(0, 9)), st.booleans())
def test_messages_survive_any_cut(payloads: list[bytes], cuts: list[int], data: bool) -> None:
    payloads = [b"\x5a" + p for p in payloads]
    reader = FrameReader(streams_data=data)
    assert read(reader, b"".join(map(frame, payloads)), cuts) == payloads
    assert reader.is_between_messages


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 40)), st.integers(0, 2))
def test_data_survives_any_cut(data: bytes, cuts: list[int], data_type: int) -> None:
    reader = FrameReader(streams_data=True)
    stream = frame(b"\x60") + data_head(len(data), data_type) + data + frame(b"\x60")
    items = read(reader, stream, cuts)
    assert items[0] == items[-1] == b"\x60"
    chunks = items[1:-1]
    assert all(isinstance(c, DataChunk) and c.data_type == data_type for c in chunks)
    assert b"".join(c.data for c in chunks) == data  # type: ignore[union-attr]
    assert reader.is_between_messages


def test_data_is_handed_out_as_it_arrives() -> None:
    reader = FrameReader(streams_data=True)
    [chunk] = reader.receive(data_head(100, 0) + b"abc")
    assert chunk == DataChunk(0, b"abc")
    assert not reader.is_between_messages
    assert list(reader.receive(b"x" * 97)) == [DataChunk(0, b"x" * 97)]
    assert reader.is_between_messages


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_items_or_a_remote_error(stream: bytes, data: bool) -> None:
    reader = FrameReader(streams_data=data, max_message=50)
    try:
        items = list(reader.receive(stream))
    except RemoteProtocolError:
        return
    assert sum(len(i.data if isinstance(i, DataChunk) else i) for i in items) <= len(stream)


@pytest.mark.parametrize(
    "stream",
    [
        b"\0\0\0\0",
        b"\0\0\0\0\x5e",
        frame(b"\x5a" * (MAX_MESSAGE + 1))[:6],
        data_head(MAX_DATA_MESSAGE + 1, 0),
        data_head(MAX_DATA_MESSAGE + 1, 1),
        b"\0\0\0\4\x5e\0\0\0",
        b"\0\0\0\7\x5e\0\0\0\1x",
        b"\0\0\0\x09\x5f\0\0\0\0\0\0\0\0",
        b"\0\0\0\5\x5f\0\0\0\1",
        data_head(0, 0),
        data_head(0, 1),
    ],
)
def test_impossible_lengths(stream: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        list(FrameReader(streams_data=True).receive(stream))


def test_on_a_control_stream_data_is_an_ordinary_message() -> None:
    reader = FrameReader(streams_data=False)
    assert list(reader.receive(data_head(3, 0) + b"abc")) == [b"\x5e\0\0\0\3abc"]


def test_an_empty_message_is_told_from_a_short_one() -> None:
    with pytest.raises(DecodeError):
        list(FrameReader(streams_data=False).receive(b"\0\0\0\0"))
