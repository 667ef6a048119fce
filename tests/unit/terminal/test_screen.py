"""The model of a screen: total, the same however the bytes are cut, and honest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsh.terminal.grid import TAIL, Grid
from qsh.terminal.pen import Pen
from qsh.terminal.screen import LONGEST_CSI, PAST, Place, Screen

BYTES = st.binary(max_size=80) | st.lists(
    st.sampled_from([b"\x1b", b"[", b"]", b"P", b"?", b";", b"1", b"2", b"m", b"H", b"J", b"r",
                     b"h", b"1049", b"l", b"\x1b\\", b"\x07", b"a", b"\n", b"\r", b"\xe6\x97\xa5",
                     b"4", b"A", b"L", b"@", b"X", b"b", b"99999"]), max_size=60,
).map(b"".join)  # fmt: skip

NUMBERS = st.sampled_from(["", "1", "4", "7", "38", "38:5:1", "48", "1049"]) | st.builds(
    str.__mul__, st.sampled_from("019"), st.sampled_from([2, 6, 100, 5000]))  # fmt: skip
LONG = st.builds(
    lambda begin, numbers, times, final: f"\x1b[{begin}{';'.join(numbers * times)}{final}".encode(),
    st.sampled_from(["", "?", ">"]), st.lists(NUMBERS, max_size=5),
    st.sampled_from([1, 3, 40, 3000]), st.sampled_from("mhlABCDHJKLMPSTX@bdgrGu"))  # fmt: skip
STREAMS = st.lists(BYTES | LONG, max_size=8).map(b"".join)


def screen(data, columns=10, rows=4):
    made = Screen(columns, rows)
    made.feed(data)
    return made


def text(made):
    return ["".join("?" if cell is None else "" if cell[0] == TAIL else cell[0] or " "
                    for cell in row).rstrip() for row in made.grid.rows]  # fmt: skip


def facts(made):
    cursor = made.cursor
    return (made.grid.rows, cursor.x, cursor.y, cursor.place, cursor.pen.text, cursor.is_pending,
            made.top, made.bottom)  # fmt: skip


@settings(deadline=None)
@given(STREAMS)
def test_any_bytes_will_do(data):
    made = screen(data)
    assert len(made.grid.rows) == 4
    assert all(len(row) == 10 for row in made.grid.rows)
    assert 0 <= made.cursor.x < 10
    assert 0 <= made.cursor.y < 4
    assert not made.grid.is_forgotten or made.grid.is_all(None)


@given(BYTES, st.lists(st.integers(0, 80)))
def test_however_it_is_cut(data, cuts):
    made, at = Screen(10, 4), 0
    for cut in [*sorted(cuts), len(data)]:
        made.feed(data[at:cut])
        at = max(at, cut)
    assert facts(made) == facts(screen(data))


def test_lines_wrap_and_scroll():
    made = screen(b"\x1bcone\r\n" + b"x" * 12 + b"\r\ntwo\r\nthree")
    assert text(made) == ["xxxxxxxxxx", "xx", "two", "three"]
    assert (made.cursor.x, made.cursor.y) == (5, 3)


def test_wide_characters_take_two_columns_and_marks_none():
    made = screen("\x1bc日本e\u0301x日本語".encode())
    assert text(made)[:2] == ["日本e\u0301x日本", "語"]


def test_insertion_and_deletion():
    made = screen(b"\x1bcabcdef\x1b[1;3H\x1b[2P\x1b[1;1H\x1b[@X\x1b[2;1Hrow\x1b[1;1H\x1b[L")
    assert text(made) == ["", "Xabef", "row", ""]


def test_the_alternate_screen_hides_and_gives_back():
    made = screen(b"\x1bckept\x1b[?1049h\x1b[Hother")
    assert text(made)[0] == "other"
    made.feed(b"\x1b[?1049l!")
    assert text(made)[0] == "kept!"


def test_what_was_there_before_is_unknown():
    made = screen(b"$ ls\r\n$ ")
    assert made.cursor.place is Place.FLOATING
    assert made.row(3) is None
    made.fix(2, 1)
    assert text(made) == ["$ ls??????", "$", "", ""]


def test_long_output_tells_where_the_cursor_is():
    assert screen(b"1\r\n2\r\n3\r\n4\r\n5").cursor.place is Place.FIXED


def test_a_clear_screen_is_known():
    made = screen(b"before\x1b[H\x1b[2Jafter")
    assert made.cursor.place is Place.FIXED
    assert text(made) == ["after", "", "", ""]


@pytest.mark.parametrize("odd", [b"\x1bP0;1q~\x1b\\", b"\x1b[?3h", b"\x1b(0\x1bN", b"\xff",
                                 b"\x1b]1337;File=:\x07", b"\x1b_Gf=100;\x1b\\"])  # fmt: skip
def test_what_is_not_followed_is_not_claimed(odd):
    made = screen(b"\x1bctext" + odd)
    assert made.cursor.place is Place.LOST
    assert made.row(3) is None


def test_a_flood_leaves_what_its_end_leaves():
    lines = [b"\x1b[3%dmline %d\x1b[K and a long rest\r\n" % (at % 8, at) for at in range(2000)]
    data = b"\x1bc" + b"".join(lines) + b"end"
    assert len(data) > PAST
    slowly = Screen(10, 4)
    for at in range(0, len(data), 1000):
        slowly.feed(data[at : at + 1000])
    at_once = screen(data[:2])
    at_once.feed(data[2:])
    assert facts(at_once) == facts(slowly)


def test_a_number_is_as_long_as_it_likes():
    assert screen(b"\x1bc\x1b[%0200d;3Htext" % 2).grid.rows[1][2][0] == "t"
    assert screen(b"\x1bc\x1b[" + b"9" * 200 + b"Btext").cursor.y == 3


@pytest.mark.parametrize("long", [
    b"0" * 5000 + b"m", b";" * 60_000 + b"m", b"9" * 5000 + b"A", b"?" + b"9" * 5000 + b"h",
    b"38;9" + b";1" * 30_000 + b"m",
])  # fmt: skip
def test_what_is_too_long_is_not_claimed(long, monkeypatch):
    asked = []
    monkeypatch.setattr(Pen, "select", lambda _, parameters: asked.append(parameters))
    made = screen(b"\x1bctext\x1b[" + long + b"\x1b[H\x1b[2Jmore\x1b[" + b"1" * LONGEST_CSI)
    assert not asked
    assert made.cursor.place is Place.FIXED
    assert made.row(0) is None
    made.feed(b"m\x1bcknown")
    assert made.row(0) is not None


def test_a_repetition_is_no_longer_than_a_row():
    assert text(screen(b"\x1bcx\x1b[10b")) == ["xxxxxxxxxx", "x", "", ""]
    assert screen(b"\x1bcx\x1b[11b").cursor.place is Place.LOST


@pytest.mark.parametrize("piece", [b"\x01", b"a", b"\n", b"\x1b[A", b"\x1b[2C", b"\xff"])
def test_what_is_forgotten_is_not_forgotten_again(piece, monkeypatch):
    made, rows, new_row = screen(b"\x1bctext\x01"), [], Grid.new_row
    monkeypatch.setattr(Grid, "new_row", lambda *it: rows.append(it) or new_row(*it))
    made.feed(piece * 1000)
    assert not rows


def test_what_is_written_after_that_is_forgotten_too():
    made = screen(b"\x1bctext\x01\x1b[Hmore")
    assert text(made)[0] == "more??????"
    made.lose()
    assert made.grid.is_all(None)
