"""What a terminal must be told by who comes late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.terminal.lasting_modes import LastingModes


def left_by(*pieces, is_new=True):
    modes = LastingModes()
    for piece in pieces:
        modes.feed(piece)
    return modes.sequences(is_new=is_new)


@pytest.mark.parametrize(
    ("written", "new", "old"),
    [
        (b"plain \x1b[31mtext\x1b[K", b"", b""),
        (b"\x1b[?1049h\x1b[2J", b"\x1b[?1049h", b"\x1b[?1049h"),
        (b"\x1b[?1049h vim \x1b[?1049l", b"", b"\x1b[?1049l"),
        (b"\x1b[?2004h$ ", b"\x1b[?2004h", b"\x1b[?2004h"),
        (b"\x1b[?25l", b"\x1b[?25l", b"\x1b[?25l"),
        (b"\x1b[?25l\x1b[?25h", b"", b"\x1b[?25h"),
        (b"\x1b=\x1b[?1h", b"\x1b=\x1b[?1h", b"\x1b=\x1b[?1h"),
        (b"\x1b[?1006h\x1bc", b"", b"\x1b[?1006l"),
        (b"\x1b[?12;2026h", b"", b""),  # not known, or not lasting
    ],
)
def test_what_lasts(written, new, old):
    assert left_by(written) == new
    assert left_by(written, is_new=False) == old


@given(st.integers(0, 30))
def test_wherever_a_sequence_is_cut(place):
    written = b"a\x1b[?1002;1006hb\x1b[?25lc\x1b=d"
    assert left_by(written[:place], written[place:]) == left_by(written)


@given(st.lists(st.binary()))
def test_any_bytes_are_taken(pieces):
    modes = LastingModes()
    for piece in pieces:
        modes.feed(piece)
        assert len(modes._rest) < 80
    modes.copy().sequences(is_new=False)
