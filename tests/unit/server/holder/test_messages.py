import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.server.holder.messages import (
    MAX_FRAME,
    TO_HOLDER,
    TO_WORKER,
    Attached,
    Break,
    Consumed,
    Data,
    Decoder,
    Eof,
    Exited,
    Killed,
    Resize,
    Signal,
    data_head,
    frame,
)

TO_WORKER_MESSAGES = [
    Attached(1, 2, 3, 4), Eof(1, 2**40), Consumed(0, 5), Exited(7), Killed("SEGV", True),
]  # fmt: skip
TO_HOLDER_MESSAGES = [
    Eof(0, 1), Consumed(2, 9), Resize(80, 24, 0, 0), Signal("INT"), Break(500),
]  # fmt: skip


@pytest.mark.parametrize(
    ("registry", "messages"), [(TO_WORKER, TO_WORKER_MESSAGES), (TO_HOLDER, TO_HOLDER_MESSAGES)]
)
def test_there_and_back_byte_by_byte(registry, messages):
    decoder = Decoder(registry)
    stream = b"".join(map(frame, messages))
    singly = (stream[at : at + 1] for at in range(len(stream)))
    assert [message for byte in singly for message in decoder.receive(byte)] == messages


def test_data_between_messages():
    stream = data_head(2, 1 << 40, 3) + b"abc" + frame(Exited(0)) + data_head(1, 0, 1) + b"d"
    assert list(Decoder(TO_WORKER).receive(stream)) == [
        Data(2, 1 << 40, b"abc"), Exited(0), Data(1, 0, b"d"),
    ]  # fmt: skip


def test_data_is_given_out_as_it_comes():
    decoder = Decoder(TO_WORKER)
    assert list(decoder.receive(data_head(1, 7, 5) + b"ab")) == [Data(1, 7, b"ab")]
    assert decoder.wanted == 3
    piece = b"cde"
    (data,) = decoder.receive(piece)
    assert data == Data(1, 9, b"cde")
    assert data.data is piece, "copied"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.lists(st.integers(1, 30)))
def test_any_cuts(pieces, cuts):
    stream, offset = b"", 0
    for piece in pieces:
        stream += data_head(1, offset, len(piece)) + piece + frame(Resize(80, 24, 0, offset))
        offset += len(piece)
    decoder, found = Decoder(TO_HOLDER), []
    for size in [*cuts, *[len(stream)] * (len(cuts) == 0), *[1] * len(stream)]:
        found += decoder.receive(stream[:size])
        stream = stream[size:]
    data = [message for message in found if isinstance(message, Data)]
    assert b"".join(message.data for message in data) == b"".join(pieces)
    assert sum(isinstance(message, Resize) for message in found) == len(pieces)
    at = 0
    for message in data:
        assert message.offset == at
        at += len(message.data)


@given(st.lists(st.sampled_from(TO_HOLDER_MESSAGES)), st.binary(min_size=1, max_size=50))
def test_reading_what_is_wanted_never_joins(messages, data):
    stream = b"".join(map(frame, messages)) + data_head(0, 3, len(data)) + data
    decoder, found = Decoder(TO_HOLDER), []
    while stream:
        wanted = decoder.wanted
        assert wanted > 0
        found += decoder.receive(stream[:wanted])
        stream = stream[wanted:]
    assert found[: len(messages)] == messages
    assert b"".join(message.data for message in found[len(messages) :]) == data


@pytest.mark.parametrize("length", [MAX_FRAME + 1, 0])
def test_lengths_out_of_bounds(length):
    with pytest.raises(DecodeError):
        list(Decoder(TO_WORKER).receive(length.to_bytes(4, "big")))


def test_data_without_bytes():
    with pytest.raises(DecodeError):
        list(Decoder(TO_WORKER).receive(data_head(1, 0, 0)))


def test_the_other_directions_messages_are_refused():
    with pytest.raises(DecodeError):
        list(Decoder(TO_HOLDER).receive(frame(Exited(0))))


@given(st.binary(max_size=200))
def test_any_bytes(data):
    with contextlib.suppress(DecodeError):
        list(Decoder(TO_HOLDER).receive(data))
