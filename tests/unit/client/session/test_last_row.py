"""The last row is borrowed and given back: seen on a second model of the same screen."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsh.client.session.last_row import LastRow, can_be_asked, without_answer
from qsh.terminal.screen import BLANK, Place, Screen

COLUMNS, ROWS = 20, 5
HOME = b"\x1b[2J\x1b[H"


class Terminal:
    """The user's, with what is written by both."""

    def __init__(self):
        self.screen = Screen(COLUMNS, ROWS)
        self.screen.feed(HOME)
        self.row = LastRow(COLUMNS, ROWS)

    def outputs(self, data):
        self.screen.feed(data)
        self.row.passed(data)
        return self

    def answers(self):
        cursor = self.screen.cursor
        self.row.answered(cursor.x, cursor.y)
        return self

    def shows(self, text="notice"):
        drawn = self.row.show(text)
        self.screen.feed(drawn.encode())
        return bool(drawn)

    def hides(self):
        self.screen.feed(self.row.hide().encode())

    @property
    def state(self):
        cursor = self.screen.cursor
        cells = [[(cell or BLANK)[0] and cell for cell in row] for row in self.screen.grid.rows]
        return (cells, cursor.x, cursor.y, cursor.is_pending, cursor.pen.text, cursor.sets,
                cursor.shift, self.screen.inserts)  # fmt: skip

    @property
    def last(self):
        return "".join(cell[0] if cell else "?" for cell in self.screen.grid.rows[-1]).rstrip()


@pytest.mark.parametrize("output", [
    b"one\r\ntwo", b"1\r\n2\r\n3\r\n4\r\nlast", b"x" * COLUMNS * ROWS,
    b"x" * (COLUMNS * ROWS + 3), b"\x1b[5;3H\x1b[1;38;5;9mred\x1b[44m\x1b[K\x1b[2;2H",
    b"\x1b[5;1H\x1b]8;;http://a/\x1b\\link\x1b]8;;\x1b\\ \x1b]8;;http://b/\x1b\\on",
    "\x1b[5;1H日本e\u0301語".encode(), b"\x1b[5;1H\x1b(0lqk", b"\x1b[5;1H\x1b)0\x0eqqq\x1b[4h",
    b"\x1b[?1049h\x1b[H\x1b[5;2Hfoot\x1b[1;3r", b"\x1b7\x1b[5;1H" + b"y" * COLUMNS,
])  # fmt: skip
def test_borrowed_and_given_back(output):
    terminal = Terminal().outputs(HOME + output).answers()
    before = terminal.state
    assert terminal.shows("first")
    assert "first" in terminal.last
    assert terminal.shows("other")
    assert "other" in terminal.last
    terminal.hides()
    assert terminal.state == before


@pytest.mark.parametrize("output", [
    b"\x1b[?6h", b"\x1bPq#0~\x1b\\", b"\x1b#6wide", b"\x1b[?69h\x1b[2;5s", b"\xff\xfe",
    b"\x1b[5;3H\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd",
])  # fmt: skip
def test_nothing_is_drawn_where_somebody_might_be_wrong(output):
    terminal = Terminal().outputs(HOME + output).answers()
    assert not terminal.shows()


def test_nothing_is_drawn_when_the_cursor_is_elsewhere():
    terminal = Terminal().outputs(HOME + b"one")
    terminal.row.answered(7, 0)
    assert not terminal.shows()


def test_what_was_there_before_is_unknown_and_what_was_below_is_empty():
    row = LastRow(COLUMNS, ROWS)
    row.passed(b"$ ")
    row.answered(2, ROWS - 2)
    assert row.show("notice")
    row = LastRow(COLUMNS, ROWS)
    row.passed(b"\x1b[1;1Hx")
    row.answered(1, 0)
    assert not row.show("notice")


def test_another_size():
    row = LastRow(COLUMNS, ROWS)
    row.passed(b"$ ")
    row.answered(2, 1)
    assert row.show("notice")
    row.resized(COLUMNS, ROWS - 1)
    assert row.is_stranded
    assert row.hide() == ""
    assert row.answered(2, 0).startswith("\x1b[4;1H\x1b[4;1H")
    assert not row.show("notice")


@pytest.mark.parametrize(("typed", "found"), [
    (b"abc", (b"abc", None, b"")), (b"a\x1b[3;4Rb", (b"ab", (3, 2), b"")),
    (b"a\x1b", (b"a", None, b"\x1b")), (b"\x1b[12;", (b"", None, b"\x1b[12;")),
    (b"\x1b[A", (b"\x1b[A", None, b"")), (b"\x1b[123456;1R", (b"\x1b[123456;1R", None, b"")),
])  # fmt: skip
def test_the_answer_is_taken_out_of_what_is_typed(typed, found):
    assert without_answer(typed) == found


@given(st.binary(max_size=60))
def test_nothing_typed_is_lost(typed):
    rest, answer, held = without_answer(typed)
    assert answer is not None or rest + held == typed


PIECES = st.sampled_from([
    b"text", b"\r\n", b"\n", b"\r", b"\b", b"\t", b"\x1b[A", b"\x1b[3B", b"\x1b[C", b"\x1b[2D",
    b"\x1b[K", b"\x1b[1K", b"\x1b[J", b"\x1b[2J", b"\x1b[H", b"\x1b[4;7H", b"\x1b[2;4r", b"\x1b[r",
    b"\x1bM", b"\x1bD", b"\x1b7", b"\x1b8", b"\x1b[L", b"\x1b[M", b"\x1b[2P", b"\x1b[3@",
    b"\x1b[4X", b"\x1b[31;1m", b"\x1b[45m", b"\x1b[m", b"\x1b[?1049h", b"\x1b[?1049l",
    b"\x1b[?7l", b"\x1b[?7h", b"\x1b[4h", b"\x1b[4l", "日本".encode(), "e\u0301".encode(),
    b"\x1b(0", b"\x1b(B", b"\x1b[5b", b"\x1b[S", b"\x1b[T", b"\x1b[d", b"\x1b[9G", b"x" * 20,
])  # fmt: skip


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=40))
def test_whatever_was_written(pieces):
    terminal = Terminal().outputs(HOME + b"".join(pieces))
    if terminal.screen.cursor.place is not Place.FIXED:
        return
    terminal.answers()
    before = terminal.state
    if terminal.shows():
        terminal.hides()
    assert terminal.state == before


def test_which_terminals():
    assert can_be_asked({"TERM": "linux"})
    assert not can_be_asked({"TERM": "dumb"})
    assert not can_be_asked({})
