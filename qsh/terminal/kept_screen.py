"""A kept screen: what the terminal of a session shows while it belongs to nobody, and the bytes
that draw it on another.

Fed with all that the session's program writes, from its beginning. Bounded: a window's size, modes
by number, and what one cell and one pen can be.
"""

import re

from qsh.terminal.grid import TAIL, Grid, Row
from qsh.terminal.pen import NO_LINK, PLAIN
from qsh.terminal.screen import BLANK, Cursor, Place, Screen

MOST_COLUMNS, MOST_ROWS = 1000, 500
LONGEST_MODES = 64
"""Characters of a sequence that sets modes."""
_MODES = re.compile(rb"\x1b(?:\[\?([0-9;]{1,60})([hl])|([=>])|(c)|(\[!p))")
_OFF = "\x18\x1b\\\x1b[?1049l\x1b[!p\x1b>\x0f\x1b(B\x1b[0m" + NO_LINK
"""Ends what may be open, leaves the alternate screen, and resets (DECSTR) what is not told here."""
_KEPT_MODES = frozenset((1, 5, 9, 12, 25, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016,
                         2004, 2026))  # fmt: skip
"""DEC's and xterm's private modes that change no cell: cursor, keys, mouse, focus, paste."""
_ON_AT_FIRST = frozenset((25,))


class KeptScreen:
    """`columns` by `rows`, blank at first."""

    def __init__(self, columns: int, rows: int) -> None:
        self._screen = _blank_screen(columns, rows)
        self._modes = set(_ON_AT_FIRST)
        self._keypad = ">"
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """The program has written this."""
        self._screen.feed(data)
        data = self._rest + data
        for found in _MODES.finditer(data):
            self._take_mode(found)
        at = data.rfind(b"\x1b")
        self._rest = data[at:] if at >= 0 and len(data) - at < LONGEST_MODES else b""

    def _take_mode(self, found: re.Match[bytes]) -> None:
        numbers, setting, keypad, _full, _soft = found.groups()
        if numbers is not None:
            asked = {int(word) for word in numbers.split(b";") if word} & _KEPT_MODES
            self._modes = self._modes | asked if setting == b"h" else self._modes - asked
        elif keypad is not None:
            self._keypad = keypad.decode()
        elif _full is not None:
            self._modes, self._keypad = set(_ON_AT_FIRST), ">"
        else:
            self._modes, self._keypad = (self._modes | {25}) - {1}, ">"

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size. Its upper left corner stays, or, where the cursor would be
        lost, its lower one."""
        old = self._screen
        new = _blank_screen(columns, rows)
        self._screen = new
        if old.cursor.place is not Place.FIXED:
            new.lose()
        gone = max(0, old.cursor.y + 1 - new.rows)
        new.grid = _fitted(old.grid, new, gone)
        new.cursor = _moved(old.cursor, new, gone)
        new.inserts, new.wraps, new.is_odd = old.inserts, old.wraps, old.is_odd
        if old.main is not None:
            grid, cursor, below, _, _ = old.main
            gone = max(0, cursor.y + 1 - new.rows)
            new.main = (_fitted(grid, new, gone), _moved(cursor, new, gone), below, 0, 0)

    def drawing(self) -> bytes | None:
        """What draws all of it on a terminal of any size, whatever that showed before, which is
        pushed up; None while not even the cursor's place is known."""
        screen = self._screen
        if screen.cursor.place is not Place.FIXED:
            return None
        parts = [_OFF, "".join(f"\x1b[?{mode}l" for mode in sorted(_KEPT_MODES - self._modes)),
                 f"\x1b[999;1H{chr(10) * screen.rows}"]  # fmt: skip
        if screen.main is not None:
            hidden, cursor = screen.main[:2]
            parts += [_rows(hidden), _place(cursor), "\x1b[?1049h\x1b[0m\x1b[2J"]
        parts.append(_rows(screen.grid))
        if screen.saved is not None:
            parts += [_place(screen.saved[0]), "\x1b7"]
        parts += [self._in_force(), _place(screen.cursor, screen.top), self._beside()]
        parts.append("".join(f"\x1b[?{mode}h" for mode in sorted(self._modes)))
        return "".join(parts).encode("utf-8", "replace")

    def _in_force(self) -> str:
        screen = self._screen
        margins = f"\x1b[{screen.top + 1};{screen.bottom + 1}r"
        is_whole = (screen.top, screen.bottom) == (0, screen.rows - 1)
        return "".join((
            "" if is_whole else margins, "\x1b[?6h" if screen.cursor.is_relative else "",
            "\x1b[4h" if screen.inserts else "", f"\x1b{self._keypad}",
        ))  # fmt: skip

    def _beside(self) -> str:
        """After the last column, where the next character goes to the next row: by writing that
        column once more. And then the way of wrapping."""
        screen, cursor = self._screen, self._screen.cursor
        cell = screen.grid.rows[cursor.y][-1]
        again = ""
        if cursor.is_pending and cell is not None and cell[0] not in ("", TAIL):
            again = cell[1] + cell[0] + NO_LINK + cursor.pen.text
        return again + ("" if screen.wraps else "\x1b[?7l")


def _blank_screen(columns: int, rows: int) -> Screen:
    screen = Screen(min(max(columns, 2), MOST_COLUMNS), min(max(rows, 2), MOST_ROWS))
    screen.grid = Grid(screen.columns, screen.rows, BLANK)
    screen.anchor(0, 0)
    return screen


def _fitted(grid: Grid, screen: Screen, gone: int) -> Grid:
    """The grid cut, or filled up, to the screen's size; so many rows are gone at the top."""
    new = Grid(screen.columns, screen.rows, BLANK)
    for y, row in enumerate(grid.rows[gone : gone + screen.rows]):
        kept = row[: screen.columns]
        new.rows[y][: len(kept)] = kept
    return new


def _moved(cursor: Cursor, screen: Screen, gone: int) -> Cursor:
    new = cursor.copy()
    new.y = min(cursor.y - gone, screen.rows - 1)
    new.x = min(cursor.x, screen.columns - 1)
    new.is_pending = False
    return new


def _rows(grid: Grid) -> str:
    return "\x1b[?7l" + "".join(
        f"\x1b[{y + 1};1H{PLAIN}\x1b[K{_drawn(row)}" for y, row in enumerate(grid.rows)
    ) + PLAIN + "\x1b[?7h"  # fmt: skip


def _drawn(row: Row) -> str:
    """The row's cells up to the last that is not blank; those that nobody knows are blank."""
    end = len(row)
    while end and row[end - 1] in (None, BLANK):
        end -= 1
    pieces, pen = [], PLAIN
    for cell in row[:end]:
        text, own = cell or ("", PLAIN)
        if text == TAIL:
            continue
        if own != pen:
            pieces.append((NO_LINK if "\x1b]" in pen else "") + own)
            pen = own
        pieces.append(text or " ")
    return "".join(pieces) + (NO_LINK if "\x1b]" in pen else "")


def _place(cursor: Cursor, top: int = 0) -> str:
    """To where the cursor is, with its pen and its character sets; `top` is the upper margin."""
    y = cursor.y - (top if cursor.is_relative else 0)
    sets = "".join(f"\x1b{mark}{name}" for mark, name in zip("()", cursor.sets, strict=True)
                   if re.fullmatch(r"[ -/]?[0-~]", name))  # fmt: skip
    return f"\x1b[{y + 1};{cursor.x + 1}H{sets}{chr(14) if cursor.shift else chr(15)}" \
           f"{cursor.pen.text}"
