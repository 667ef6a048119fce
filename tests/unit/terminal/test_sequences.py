"""Whether a stream to a terminal stands between two sequences, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.terminal.sequences import Sequences

WHOLE = [
    b"plain\r\n", "für €5 🙂".encode(), b"\x1b[31m", b"\x1b[?25l", b"\x1b[1;24r", b"\x1b7",
    b"\x1b(B", b"\x1b#8", b"\x1bOP", b"\x1b]0;a title\x07", b"\x1b]2;another\x1b\\",
    b"\x1bPq#0;2;0;0;0~-\x1b\\", b"\x1b_apc\x1b\\", b"\x1bkscreen\x1b\\", b"\x1b[3\x18",
    b"\x1b]never ended\x1b[m", b"\x1bPtmux;\x1b\x1b]52;c;AA==\x07\x1b\\",
]  # fmt: skip


def stands_between(*pieces):
    sequences = Sequences()
    for piece in pieces:
        sequences.take(piece)
    return sequences.is_between


def test_nothing_is_written_yet():
    assert Sequences().is_between


@pytest.mark.parametrize("text", WHOLE)
def test_after_a_whole_sequence(text):
    assert stands_between(text)
    assert stands_between(text, b"and more")


@pytest.mark.parametrize(
    "text",
    [b"\x1b", b"\x1b[", b"\x1b[1;2", b"\x1b]0;a title", b"\x1bPq#0", b"\x1bPq\x07", b"\x1b(",
     b"\x1bO", "ü".encode()[:1], "€".encode()[:2], "🙂".encode()[:3],
     b"\x1bPtmux;\x1b\x1b]52;c;AA==\x07"],
)  # fmt: skip
def test_inside_of_one(text):
    assert not stands_between(text)
    assert not stands_between(b"before \x1b[m", text)


@pytest.mark.parametrize("text", [text for text in WHOLE if text.startswith(b"\x1b")])
def test_inside_at_every_place(text):
    if text in (b"\x1b]never ended\x1b[m",):
        return  # one sequence in another
    for end in range(1, len(text)):
        assert not stands_between(text[:end]), text[:end]


@given(st.lists(st.sampled_from([*WHOLE, b"\x1b", b"\x1b[", b"\x1bP", b"~", b"\xe2"])), st.data())
def test_the_pieces_do_not_matter(parts, data):
    text = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert stands_between(*pieces) == stands_between(*(bytes([byte]) for byte in text))


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_are_taken(pieces):
    sequences = Sequences()
    for piece in [*pieces, b"\x1b[m"]:
        sequences.take(piece)
    assert sequences.is_between or b"".join(pieces).endswith(b"\x1b")
