import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.wire.replay import Replay


def all_from(replay, offset, limit=1000):
    found = b""
    while piece := replay.piece(offset + len(found), limit):
        assert len(piece) <= limit
        found += piece
    return found


@given(
    st.lists(st.binary(max_size=5000), max_size=30),
    st.lists(st.integers(0, 100_000), max_size=5),
    st.integers(1, 9000),
)
def test_what_is_kept_is_what_was_said(pieces, trims, limit):
    replay, said = Replay(), b""
    for number, piece in enumerate(pieces):
        replay.append(piece)
        said += piece
        if number < len(trims):
            replay.trim(trims[number])
        assert replay.end == len(said)
        assert len(replay) == len(said) - replay.start
        assert all_from(replay, replay.start, limit) == said[replay.start :]


def test_many_pieces_come_and_go():
    replay = Replay()
    for number in range(3000):
        replay.append(bytes([number % 251]) * 5000)
        replay.trim(replay.end - 20_000)
    assert replay.start == 3000 * 5000 - 20_000
    assert all_from(replay, replay.end - 5000) == bytes([2999 % 251]) * 5000
    assert len(replay._pieces) < 600


def test_single_bytes_are_joined():
    replay = Replay()
    for _ in range(10_000):
        replay.append(b"x")
    assert len(replay._pieces) <= 3


@pytest.mark.parametrize("offset", [-1, 1, 7])
def test_what_is_not_there(offset):
    replay = Replay()
    replay.append(b"hello")
    replay.trim(2)
    with pytest.raises(ValueError, match=r"is not in 2\.\.5"):
        replay.piece(offset, 10)
