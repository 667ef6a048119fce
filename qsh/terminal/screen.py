"""A model of a terminal's screen, fed with all that is written to it: what stands where.

The terminal had a life before, and treats a change of its window's size in its own way; so the
model also knows what it does not know (`Place`). What it does not follow makes it lost; absolute
positions, a cleared screen and long output bring it back, and `fix` does, with the terminal's own
word on where its cursor is.
"""

import re
from collections.abc import Callable
from enum import IntEnum

from qsh.terminal.grid import TAIL, Cell, Grid, Row
from qsh.terminal.pen import PLAIN, Pen
from qsh.terminal.tokens import Kind, Tokens
from qsh.terminal.widths import width

TAB = 8
BLANK: Cell = ("", PLAIN)
PAST = 1 << 14
"""Bytes at once, from which on it pays to look for what may be skipped."""
LONGEST_CSI = 256
"""Characters; what longer ones do is not known."""
PLAIN_OUTPUT = re.compile(rb"(?:[^\x00-\x06\x0b-\x0c\x0e-\x1f\x7f]+|\x1b\[[0-9;:]*[mK])*+")
COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")
DRAWING = dict(zip(range(0x60, 0x7F), "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))
"""DEC's characters for lines."""


class Place(IntEnum):
    """How much of the cursor is known.

    LOST: nothing. FLOATING: its column, and its row as far as the distance to others goes: the
    model has it at the bottom, the terminal as many rows higher as it has empty ones below.
    FIXED: all.
    """

    LOST = 0
    FLOATING = 1
    FIXED = 2


class Cursor:
    """What is saved and restored together (DECSC, DECRC)."""

    def __init__(self, y: int) -> None:
        self.x, self.y = 0, y
        self.place = Place.FLOATING
        self.is_pending = False
        """The last column is written; the next character goes to the next row."""
        self.pen = Pen()
        self.is_relative = False
        """To the margins (DECOM)."""
        self.sets = ["B", "B"]
        self.shift = 0

    def copy(self) -> "Cursor":
        """One that stays."""
        other = Cursor(self.y)
        other.__dict__.update(self.__dict__)
        other.pen, other.sets = self.pen.copy(), [*self.sets]
        return other


class Screen:
    """`columns` by `rows`; what is written before the first `feed` ended a line."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.grid = Grid(columns, rows)
        self.cursor = Cursor(rows - 1)
        self.top, self.bottom = 0, rows - 1
        self.inserts = False
        self.wraps = True
        self.tabs: set[int] | None = None
        self.below_is_blank = True
        """While floating: what the terminal has below the model's last row."""
        self.highest = rows - 1
        """While floating: the highest row that is surely there."""
        self.scrolled = 0
        self.saved: tuple[Cursor, int] | None = None
        self.main: tuple[Grid, Cursor, bool, int, int] | None = None
        """While the alternate screen is shown: what it hides."""
        self.is_odd = False
        """Something is in force that this model has no idea of."""
        self.last = ""
        self._tokens = Tokens()

    def feed(self, data: bytes) -> None:
        """These bytes are written."""
        from qsh.terminal.sequence_effects import control, csi, escape, string

        effects: dict[Kind, Callable[[Screen, str], None]] = {
            Kind.CONTROL: control, Kind.CSI: csi, Kind.ESCAPE: escape, Kind.STRING: string,
        }  # fmt: skip
        for kind, text in self._tokens.take(self._without_past(data)):
            if kind is Kind.TEXT:
                self.write_text(text)
            elif kind is Kind.OSC:
                self._command(text)
            elif kind is Kind.UNKNOWN:
                self.lose()
            elif kind is Kind.CSI and len(text) > LONGEST_CSI:
                self.is_odd = True
                self.lose()
            else:
                effects[kind](self, text)

    def _without_past(self, data: bytes) -> bytes:
        """Without what plain output of many lines leaves no trace of: all but the last screenful,
        and of the rest its colours."""
        if len(data) < PAST or self.main is not None or not self._tokens.is_between:
            return data
        cut = len(data)
        for _ in range(self.rows + 1):
            cut = data.rfind(b"\r\n", 0, cut)
        is_whole = (self.top, self.bottom) == (0, self.rows - 1)
        if cut < 0 or not is_whole or not PLAIN_OUTPUT.fullmatch(data, 0, cut):
            return data
        if data.count(b"\n", 0, cut) < self.rows:
            return data
        self.lose()
        self.anchor(0, self.rows - 1)
        return b"".join(COLOURS.findall(data, 0, cut)) + data[cut:]

    # ------------------------------------------------------------ what is known

    def lose(self) -> None:
        """Nobody knows where the cursor is, and what stands anywhere."""
        self.grid.forget()
        self.cursor.place = Place.LOST
        self.cursor.is_pending = False
        self.below_is_blank = False

    def float(self) -> None:
        """The column is known."""
        cursor = self.cursor
        if cursor.place is Place.LOST and (self.top, self.bottom) == (0, self.rows - 1):
            cursor.place, cursor.y = Place.FLOATING, self.rows - 1
            self.highest, self.scrolled = self.rows - 1, 0

    def anchor(self, x: int, y: int) -> None:
        """The cursor is here, for sure."""
        cursor = self.cursor
        if cursor.place is not Place.FIXED and not self.grid.is_all(BLANK):
            self.grid.forget()
        cursor.place, cursor.is_pending = Place.FIXED, False
        cursor.x = max(0, min(x, self.columns - 1))
        cursor.y = max(0, min(y, self.rows - 1))

    def fix(self, x: int, y: int) -> None:
        """The terminal says that its cursor is here."""
        cursor = self.cursor
        higher = cursor.y - y
        is_possible = x == cursor.x and (higher == 0 or (
            higher > 0 and cursor.place is Place.FLOATING))  # fmt: skip
        if cursor.place is Place.LOST or not is_possible:
            self.lose()
            self.anchor(x, y)
            return
        if cursor.place is Place.FLOATING:
            fill = BLANK if self.below_is_blank else None
            self.grid.scroll_up(0, self.rows - 1, higher, fill)
            cursor.y, cursor.place = y, Place.FIXED

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size: terminals differ in what becomes of its content."""
        kept = self.cursor
        self.columns, self.rows = columns, rows
        self.grid, self.cursor = Grid(columns, rows), Cursor(rows - 1)
        self.cursor.pen, self.cursor.sets = kept.pen, kept.sets
        self.cursor.shift, self.cursor.is_relative = kept.shift, kept.is_relative
        self.top, self.bottom, self.saved = 0, rows - 1, None
        if self.main is not None:
            _, hidden, _, _, _ = self.main
            hidden.place = Place.LOST
            self.main = (Grid(columns, rows), hidden, False, rows - 1, 0)
        self.lose()

    @property
    def is_known(self) -> bool:
        """Whether the cursor's place is, and all that is in force."""
        return self.cursor.place is Place.FIXED and not self.is_odd

    def row(self, y: int) -> Row | None:
        """What stands there; None if nobody knows. Of the last column, about which terminals
        differ, None may be left."""
        if not self.is_known:
            return None
        row = self.grid.rows[y]
        return None if None in row[:-1] else row

    # ------------------------------------------------------------ moving

    @property
    def erased(self) -> Cell:
        """What erasing leaves."""
        return "", self.cursor.pen.paper

    def line_feed(self) -> None:
        """Down, scrolling at the bottom (IND)."""
        cursor = self.cursor
        if cursor.place is Place.LOST:
            return
        if cursor.y == self.bottom:
            fill = self.erased
            if cursor.place is Place.FLOATING:
                fill = BLANK if self.below_is_blank and fill == BLANK else None
                self.highest = max(0, self.highest - 1)
                self.scrolled += 1
                if self.scrolled >= self.rows:
                    cursor.place = Place.FIXED
            self.grid.scroll_up(self.top, self.bottom, 1, fill)
        elif cursor.y < self.rows - 1:
            cursor.y += 1

    def go_up(self, count: int) -> None:
        """CUU"""
        cursor = self.cursor
        if cursor.place is Place.FLOATING and cursor.y - count < self.highest:
            self.lose()
            return
        limit = self.top if cursor.y >= self.top else 0
        cursor.y, cursor.is_pending = max(limit, cursor.y - count), False

    def go_down(self, count: int) -> None:
        """CUD"""
        cursor = self.cursor
        if cursor.place is Place.FLOATING and cursor.y + count > self.rows - 1:
            self.lose()
            return
        limit = self.bottom if cursor.y <= self.bottom else self.rows - 1
        cursor.y, cursor.is_pending = min(limit, cursor.y + count), False

    def go_aside(self, count: int) -> None:
        """CUF, CUB. Beside the last column, once written, terminals do not agree."""
        cursor = self.cursor
        if cursor.is_pending:
            self.lose()
        cursor.x = max(0, min(cursor.x + count, self.columns - 1))

    # ------------------------------------------------------------ text

    def write_text(self, text: str) -> None:
        """Characters that are no controls."""
        cursor = self.cursor
        self.last = text[-1]
        if cursor.place is Place.LOST:
            self.grid.forget()
            return
        charset = cursor.sets[cursor.shift]
        if charset == "0":
            text = text.translate(DRAWING)
        if text.isascii() and not self.inserts and charset == "B":
            self._print_narrow(text)
            return
        for character in text:
            self._print_one(character, is_known=charset in ("B", "0"))

    def _print_narrow(self, text: str) -> None:
        cursor, pen, at = self.cursor, self.cursor.pen.text, 0
        while at < len(text):
            if not self._has_room(1):
                return
            part = text[at : at + self.columns - cursor.x]
            at += len(part)
            self.grid.put(cursor.y, cursor.x, [(character, pen) for character in part])
            self._advance(len(part))

    def _print_one(self, character: str, *, is_known: bool) -> None:
        cursor = self.cursor
        columns = width(character)
        if columns == 0:
            self.grid.combine(cursor.y, cursor.x + cursor.is_pending, character)
            return
        if columns is None or self.columns < columns:
            self.grid.erase_rows(cursor.y, cursor.y + 1, None)
            self.lose()
            return
        if not self._has_room(columns):
            return
        cells: Row = [(character, cursor.pen.text) if is_known else None]
        cells += [(TAIL, "")] * (columns - 1)
        if self.inserts:
            self.grid.insert(cursor.y, cursor.x, cells)
        else:
            self.grid.put(cursor.y, cursor.x, cells)
        self._advance(columns)

    def _has_room(self, columns: int) -> bool:
        """After going to the next row, if it must be; False if that leads nobody knows where."""
        cursor = self.cursor
        if cursor.x + columns > self.columns and not cursor.is_pending and not self.wraps:
            self.lose()
        elif cursor.is_pending or cursor.x + columns > self.columns:
            cursor.x, cursor.is_pending = 0, False
            self.line_feed()
        return cursor.place is not Place.LOST

    def _advance(self, columns: int) -> None:
        cursor = self.cursor
        cursor.x += columns
        if cursor.x >= self.columns:
            cursor.x, cursor.is_pending = self.columns - 1, self.wraps

    def _command(self, text: str) -> None:
        """OSC. Those for titles, colours, clipboards, shells' marks leave no trace; iTerm2's
        pictures do."""
        number, _, rest = text.partition(";")
        if number == "8":
            self.cursor.pen.link(rest)
        elif number == "1337" and not rest.startswith(("SetMark", "CurrentDir", "RemoteHost",
                                                       "ShellIntegration", "SetUserVar")):
            self.lose()
