"""What is drawn on another terminal is what the program drew: by the model, and by a real tmux."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsh.terminal.kept_screen import KeptScreen
from qsh.terminal.screen import Place

COLUMNS, ROWS = 20, 6
JUNK = "\x1b[?1049h\x1b[2;4r\x1b[?6hjunk\x1b[31;7m\x1b(0\x1b[?2004h\x1b[?25l\x1b[4h\x1b]8;;x\x07y"
PIECES = st.one_of(
    st.text("ab 中é", max_size=30),
    st.sampled_from([
        "\r\n", "\n", "\r", "\b", "\t", "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[1K", "\x1b[3;5H",
        "\x1b[2A", "\x1b[B", "\x1b[4C", "\x1b[31m", "\x1b[0m", "\x1b[48;5;4m", "\x1b[7m", "\x1b[m",
        "\x1b[2;4r", "\x1b[r", "\x1b[?6h", "\x1b[?6l", "\x1b[?7l", "\x1b[?7h", "\x1b[4h", "\x1b[4l",
        "\x1b7", "\x1b8", "\x1bM", "\x1bD", "\x1b[2L", "\x1b[M", "\x1b[3@", "\x1b[2P", "\x1b[2X",
        "\x1b[S", "\x1b[T", "\x1b(0", "\x1b(B", "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25l",
        "\x1b[?25h", "\x1b[?2004h", "\x1b=", "\x1b>", "\x1b[?1000;1006h", "\x1bc", "\x1b[!p",
        "\x1b]0;title\x07", "\x1b]8;;http://a\x07", "\x1b]8;;\x07", "\x1b[99;1H",
    ]),
)  # fmt: skip


def screen(*data, columns=COLUMNS, rows=ROWS):
    one = KeptScreen(columns, rows)
    for piece in data:
        one.feed(piece if isinstance(piece, bytes) else piece.encode())
    return one


def shown(drawn):
    """The rows that a terminal shows after that."""
    model = screen(JUNK, drawn)._screen
    assert model.cursor.place is Place.FIXED
    text = ["".join((cell or ("", ""))[0] or " " for cell in row) for row in model.grid.rows]
    return [row.replace("\0", "").rstrip() for row in text], (model.cursor.x, model.cursor.y)


def test_text_and_cursor():
    drawn = screen("one\r\ntwo\r\n$ ").drawing()
    assert shown(drawn) == (["one", "two", "$", "", "", ""], (2, 2))


def test_what_scrolled_away_is_gone():
    drawn = screen(b"".join(b"%d\r\n" % n for n in range(100000)), "end").drawing()
    assert len(drawn) < 2000
    assert shown(drawn)[0] == ["99995", "99996", "99997", "99998", "99999", "end"]


def test_an_editor_hides_the_shell():
    """What its end brings back is there too."""
    drawn = screen("$ vi\r\n", "\x1b[?1049h\x1b[H~\r\n~\x1b[6;1Hfile").drawing()
    assert shown(drawn)[0] == ["~", "~", "", "", "", "file"]
    assert shown(drawn + b"\x1b[?1049l$ ")[0][:2] == ["$ vi", "$"]


@pytest.mark.parametrize(("set_by", "found"), [
    ("\x1b[?25l", "\x1b[?25l"), ("\x1b[?2004h", "\x1b[?2004h"), ("\x1b=", "\x1b="),
    ("\x1b[?1000;1006h", "\x1b[?1000h\x1b[?1006h"), ("\x1b[?2004h\x1bc", "\x1b[?2004l"),
    ("\x1b[2;4r", "\x1b[2;4r"), ("\x1b[?7l", "\x1b[?7l"), ("\x1b[31;1m", "31;1m"),
])  # fmt: skip
def test_modes(set_by, found):
    for cut in range(len(set_by)):
        drawn = screen("text", set_by[:cut], set_by[cut:]).drawing().decode()
        assert found in drawn.replace("\x1b[?1m", "")


def test_the_last_column():
    """The next character goes to the next row, as it would have."""
    drawn = screen("x" * COLUMNS).drawing()
    assert shown(drawn + b"y")[0][:2] == ["x" * COLUMNS, "y"]


def test_another_size():
    one = screen("one\r\ntwo\r\nthree\r\nfour")
    one.resize(3, 2)
    assert shown(one.drawing())[0][:2] == ["thr", "fou"]
    one.resize(40, 10)
    one.feed(b"\r\nmore")
    assert shown(one.drawing())[0][:3] == ["thr", "fou", "more"]


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (65535, 65535)])
def test_no_size_is_too_much(size):
    one = screen("text", columns=size[0], rows=size[1])
    one.resize(*size)
    assert len(one.drawing() or b"") < 100_000


def test_a_cell_holds_no_more_than_a_cell():
    marks = screen("a" + "\u0301" * 100_000)
    links = screen(*(f"\x1b]8;;{n}{'x' * 50_000}\x07y" for n in range(100)))
    assert len(marks.drawing()) < 2000
    assert len(links.drawing()) < 100_000


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25))
def test_the_drawing_of_a_drawing_is_the_same(pieces):
    drawn = screen(*pieces).drawing()
    if drawn is not None:
        assert screen(JUNK, drawn).drawing() == drawn


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10),
       st.tuples(st.integers(0, 300), st.integers(0, 300)))  # fmt: skip
def test_any_bytes(pieces, size):
    one = screen(*pieces)
    one.drawing()
    one.resize(*size)
    one.feed(b"".join(pieces))
    one.drawing()


def test_it_keeps_up_with_a_flood():
    data, began = b"y\r\n" * 40_000, time.monotonic()
    one = screen(*[data] * 10)
    assert time.monotonic() - began < 20
    assert one.drawing() is not None
