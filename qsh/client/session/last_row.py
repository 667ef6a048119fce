"""The last row of the user's screen, borrowed for a notice: what to write so that it is shown, and
so that all is as it was. Pure.

What stands there is known from a model of the screen (qsh.terminal.screen) that has seen all
output; before anything is drawn the terminal is asked where its cursor is, and if that is not what
the model says, or the model does not know the row, nothing is drawn.
"""

import re
from collections.abc import Mapping

from qsh.terminal.grid import TAIL, Row
from qsh.terminal.pen import NO_LINK, PLAIN
from qsh.terminal.screen import Screen

QUESTION = "\x1b[6n"
"""DSR: where is the cursor?"""
_ANSWER = re.compile(rb"\x1b\[(\d{1,5});(\d{1,5})R")
_BEGUN = re.compile(rb"\x1b(?:\[(?:\d{1,5}(?:;\d{0,5})?)?)?\Z")
INVERSE = "\x1b[0;7m"
SAVE_CURSOR, RESTORE_CURSOR = "\x1b7", "\x1b8"
BATCH = 1 << 16
"""Bytes of output that wait to be looked at."""
ANSWER = ("xterm", "tmux", "screen", "alacritty", "foot", "linux", "vte", "rxvt", "konsole",
          "kitty", "wezterm", "st-", "ghostty", "iterm", "contour", "rio")  # fmt: skip
"""How TERM begins for terminals that are asked."""


def can_be_asked(environment: Mapping[str, str]) -> bool:
    """Whether the terminal understands what is written here."""
    return environment.get("TERM", "").startswith(ANSWER)


def without_answer(typed: bytes) -> tuple[bytes, tuple[int, int] | None, bytes]:
    """Input without the answer to QUESTION, the answer (column and row from 0) if there is one,
    and the end of the input if that may become one."""
    found = _ANSWER.search(typed)
    if found is not None:
        row, column = int(found[1]), int(found[2])
        return typed[: found.start()] + typed[found.end() :], (column - 1, row - 1), b""
    begun = _BEGUN.search(typed)
    if begun is not None:
        return typed[: begun.start()], None, begun[0]
    return typed, None, b""


class LastRow:
    """Of a terminal of so many columns and rows."""

    def __init__(self, columns: int, rows: int) -> None:
        self._screen = Screen(columns, rows)
        self._waiting: list[bytes] = []
        self._length = 0
        self._kept: Row | None = None
        self._stranded: tuple[Row, int] | None = None

    def passed(self, data: bytes) -> None:
        """This is written to the terminal."""
        self._waiting.append(data)
        self._length += len(data)
        if self._length >= BATCH:
            self._look_through()

    def resized(self, columns: int, rows: int) -> None:
        """The window has another size. A notice that is shown goes where the terminal puts it: as
        far below the cursor as it was, if lines were not cut anew."""
        self._look_through()
        if self._kept is not None:
            self._stranded = self._kept, self._screen.rows - 1 - self._screen.cursor.y
        self._screen.resize(columns, rows)
        self._kept = None

    def lose(self) -> None:
        """Others have written to the terminal."""
        self._look_through()
        self._screen.lose()
        self._kept = None

    def answered(self, column: int, row: int) -> str:
        """The terminal's cursor is there. Gives what takes a notice away that a change of size
        has left."""
        self._look_through()
        screen, stranded = self._screen, self._stranded
        screen.fix(min(column, screen.columns - 1), row)
        self._stranded = None
        back = self._way_back()
        if stranded is None or back is None or row + stranded[1] >= screen.rows:
            return ""
        there = f"\x1b[{row + stranded[1] + 1};1H"
        return self._way_there() + there + _drawn(stranded[0][: screen.columns]) + back

    @property
    def is_stranded(self) -> bool:
        """Whether a notice stands somewhere, and only the terminal knows where."""
        return self._stranded is not None

    @property
    def is_shown(self) -> bool:
        """Whether the row is borrowed."""
        return self._kept is not None

    def show(self, text: str) -> str:
        """Draw the text; empty if that cannot be undone."""
        self._look_through()
        screen = self._screen
        row = self._kept or screen.row(screen.rows - 1)
        back = self._way_back()
        if row is None or back is None:
            return ""
        self._kept = row
        columns = screen.columns - 1
        shown = "".join(one for one in text if " " <= one <= "~")[:columns].ljust(columns)
        return self._way_there() + INVERSE + shown + back

    def hide(self) -> str:
        """Put back what was there; empty if the row is not borrowed."""
        row, back = self._kept, self._way_back()
        self._kept = None
        if row is None or back is None:
            return ""
        return self._way_there() + _drawn(row) + back

    # ------------------------------------------------------------ inside

    def _look_through(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting, self._length = [], 0
            self._screen.feed(data)

    def _way_there(self) -> str:
        """To the row's begin, with a plain character set."""
        screen, cursor = self._screen, self._screen.cursor
        leave = SAVE_CURSOR if self._saves_cursor else ""
        leave += "\x1b[4l" if screen.inserts else ""
        leave += "\x0f\x1b(B" if cursor.shift or cursor.sets[0] != "B" else ""
        leave += NO_LINK if "\x1b]" in cursor.pen.text else ""
        return f"{leave}\x1b[{screen.rows};1H"

    def _way_back(self) -> str | None:
        """To the cursor and the pen as they were; None if nobody knows how."""
        screen, cursor = self._screen, self._screen.cursor
        if cursor.is_relative or not screen.is_known:
            return None
        back = f"\x1b[{cursor.y + 1};{cursor.x + 1}H"
        if cursor.is_pending:
            back = self._beside_the_last_column()
            if not back:
                return None
        if cursor.shift or cursor.sets[0] != "B":
            back += f"\x1b({cursor.sets[0]}" + ("\x0e" if cursor.shift else "")
        back += "\x1b[4h" if screen.inserts else ""
        return back + cursor.pen.text

    @property
    def _saves_cursor(self) -> bool:
        """Whether the terminal is to keep the cursor itself."""
        cell = self._screen.grid.rows[self._screen.cursor.y][-1]
        return self._screen.cursor.is_pending and (cell is None or cell[0] in ("", TAIL))

    def _beside_the_last_column(self) -> str:
        """Where the next character goes to the next row: write the last one again, or have the
        terminal keep its cursor, if no program uses that."""
        screen, cursor = self._screen, self._screen.cursor
        if self._saves_cursor:
            return RESTORE_CURSOR if screen.saved is None else ""
        cell = screen.grid.rows[cursor.y][-1]
        assert cell is not None
        return f"\x1b[{cursor.y + 1};{screen.columns}H{cell[1]}{cell[0]}"


def _drawn(row: Row) -> str:
    """What draws the row from its begin, where nothing is linked. A last column that nobody knows
    has not been touched."""
    if row[-1] is None:
        row = row[:-1]
        pieces = [f"{PLAIN}\x1b[{len(row)}X"]
    else:
        pieces = [f"{PLAIN}\x1b[2K"]
    pen, at = PLAIN, 0
    while at < len(row):
        cell = row[at]
        assert cell is not None
        text, own = cell
        count = 1
        if not text:
            while at + count < len(row) and row[at + count] == cell:
                count += 1
        if text != TAIL and own != pen and (text or own != PLAIN):
            pieces.append((NO_LINK if "\x1b]" in pen else "") + own)
            pen = own
        if text and text != TAIL:
            pieces.append(text)
        elif not text:
            pieces.append((f"\x1b[{count}X" if own != PLAIN else "") + f"\x1b[{count}C")
        at += count
    return "".join(pieces) + (NO_LINK if "\x1b]" in pen else "")
