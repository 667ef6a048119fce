"""What controls and escape sequences do to a Screen (ECMA-48, VT520, xterm's ctlseqs)."""

from collections.abc import Callable

from qsh.terminal.pen import Pen
from qsh.terminal.screen import BLANK, TAB, Cursor, Place, Screen
from qsh.terminal.tokens import number

_NUL_LIKE = "\0\x05\x07\x11\x12\x13\x14\x7f"
_HARMLESS_STRINGS = ("P$q", "P+q", "P+r", "P1$r", "P0$r", "P1+r", "P0+r", "k")
_HARMLESS_FINALS = "cntqupvwxyz"
"""Reports, requests, lights, cursor shapes, keyboards, window sizes: nothing on the screen."""
_DANGEROUS_MODES = frozenset((3, 45, 47, 69, 80, 1047))


def control(screen: Screen, character: str) -> None:
    """A C0 control."""
    cursor = screen.cursor
    if character == "\r":
        cursor.x, cursor.is_pending = 0, False
        screen.float()
    elif character in "\n\v\f":
        if cursor.is_pending:
            screen.lose()
        screen.line_feed()
    elif character == "\b":
        screen.go_aside(-1)
    elif character == "\t":
        _tab(screen)
    elif character in "\x0e\x0f":
        cursor.shift = int(character == "\x0e")
    elif character not in _NUL_LIKE:
        screen.lose()


def _tab(screen: Screen) -> None:
    cursor = screen.cursor
    if cursor.is_pending:
        screen.lose()
    stops = range(0, screen.columns, TAB) if screen.tabs is None else sorted(screen.tabs)
    last = screen.columns - 1
    cursor.x = min((stop for stop in stops if stop > cursor.x), default=last)


def string(screen: Screen, text: str) -> None:
    """DCS and its kin: pictures, or for a terminal outside of tmux."""
    if not text.startswith(_HARMLESS_STRINGS):
        screen.lose()


def escape(screen: Screen, text: str) -> None:
    """ESC and what follows."""
    cursor = screen.cursor
    if text in _ESCAPES:
        _ESCAPES[text](screen)
    elif len(text) == 2 and text[0] in "()":
        cursor.sets["()".index(text[0])] = text[1]
    elif text[0] == "#":
        screen.is_odd = True  # lines of double size
    elif text not in ("=", ">", "\\", "Z", "%G") and text[0] not in "*+":
        screen.lose()


def csi(screen: Screen, text: str) -> None:
    """CSI, with its parameters and its end."""
    body, final = text[:-1], text[-1]
    if body[:1] in ("<", "=", ">"):
        return
    if final == "m":
        if not body.endswith((" ", "%")):
            screen.cursor.pen.select(body)
        return
    if final in "hl":
        _modes(screen, body, is_set=final == "h")
        return
    if body == "!" and final == "p":
        _soft_reset(screen)
    elif body in ("", None) and final == "s":
        _save(screen)
    elif body == "" and final == "u":
        _restore(screen)
    elif body.replace(";", "").isdigit() or not body:
        _edit(screen, final, [number(word) for word in body.split(";")])
    elif body[0] == "?" and final in "JK" and body[1:].isdigit():
        screen.lose()  # spares what is protected
    elif body[0] != "?" and (final not in _HARMLESS_FINALS or body[-1] == "$"):
        screen.lose()


def _edit(screen: Screen, final: str, numbers: list[int]) -> None:
    change = _EDITS.get(final)
    if change is None:
        if final not in _HARMLESS_FINALS:
            screen.lose()
        return
    if screen.cursor.place is Place.LOST and final not in "HfGrJ`g":
        screen.grid.forget()
        return
    change(screen, max(1, numbers[0]), numbers)


# ------------------------------------------------------------------ the cursor


def _move(screen: Screen, _count: int, numbers: list[int]) -> None:
    """CUP, HVP"""
    row, column = numbers[0], numbers[1] if len(numbers) > 1 else 1
    _move_to(screen, max(1, column) - 1, max(1, row) - 1)


def _move_to(screen: Screen, x: int, y: int) -> None:
    if screen.cursor.is_relative:
        y = min(y + screen.top, screen.bottom)
    screen.anchor(x, y)


def _move_to_column(screen: Screen, count: int, _numbers: list[int]) -> None:
    """CHA, HPA"""
    screen.cursor.x = min(count, screen.columns) - 1
    screen.cursor.is_pending = False
    screen.float()


def _move_to_row(screen: Screen, count: int, _numbers: list[int]) -> None:
    """VPA"""
    _move_to(screen, screen.cursor.x, count - 1)


def _next_line(screen: Screen, count: int, _numbers: list[int]) -> None:
    """CNL"""
    screen.go_down(count)
    screen.cursor.x = 0


def _previous_line(screen: Screen, count: int, _numbers: list[int]) -> None:
    """CPL"""
    screen.go_up(count)
    screen.cursor.x = 0


def _margins(screen: Screen, _count: int, numbers: list[int]) -> None:
    """DECSTBM"""
    top = max(1, numbers[0])
    bottom = numbers[1] if len(numbers) > 1 and numbers[1] else screen.rows
    bottom = min(bottom, screen.rows)
    if top < bottom:
        screen.top, screen.bottom = top - 1, bottom - 1
        _move_to(screen, 0, 0)


def _save(screen: Screen) -> None:
    """DECSC, SCOSC"""
    screen.saved = screen.cursor.copy(), screen.scrolled


def _restore(screen: Screen) -> None:
    """DECRC, SCORC"""
    if screen.saved is None:
        screen.lose()
        return
    saved, scrolled = screen.saved
    is_same = saved.place is Place.FLOATING and scrolled == screen.scrolled
    is_known = saved.place is Place.FIXED or (is_same and screen.cursor.place is Place.FLOATING)
    before, screen.cursor = screen.cursor.place, saved.copy()
    if not is_known:
        screen.lose()
    elif before is not saved.place:
        screen.cursor.place = before
        screen.anchor(saved.x, saved.y)


def _index_back(screen: Screen) -> None:
    """RI"""
    cursor = screen.cursor
    if cursor.is_pending:
        screen.lose()
    elif cursor.y == screen.top and cursor.place is Place.FIXED:
        screen.grid.scroll_down(screen.top, screen.bottom, 1, screen.erased)
    else:
        screen.go_up(1)


def _next(screen: Screen) -> None:
    """NEL"""
    screen.cursor.x, screen.cursor.is_pending = 0, False
    screen.float()
    screen.line_feed()


def _set_tab(screen: Screen) -> None:
    """HTS"""
    if screen.tabs is None:
        screen.tabs = set(range(0, screen.columns, TAB))
    screen.tabs.add(screen.cursor.x)


def _clear_tabs(screen: Screen, _count: int, numbers: list[int]) -> None:
    """TBC"""
    if screen.tabs is None:
        screen.tabs = set(range(0, screen.columns, TAB))
    if numbers[0] == 3:
        screen.tabs.clear()
    else:
        screen.tabs.discard(screen.cursor.x)


# ------------------------------------------------------------------ cells


def _erase_display(screen: Screen, _count: int, numbers: list[int]) -> None:
    """ED"""
    cursor, grid, what = screen.cursor, screen.grid, numbers[0]
    if what == 2:
        grid.erase_rows(0, screen.rows, screen.erased)
        screen.below_is_blank = screen.erased == BLANK
        return
    if what == 3 or cursor.place is Place.LOST:
        return
    _erase_line(screen, 1, [what])
    if what == 0:
        grid.erase_rows(cursor.y + 1, screen.rows, screen.erased)
        screen.below_is_blank = screen.erased == BLANK
    else:
        grid.erase_rows(0, cursor.y, screen.erased)


def _erase_line(screen: Screen, _count: int, numbers: list[int]) -> None:
    """EL"""
    cursor, columns = screen.cursor, screen.columns
    first, end = {0: (cursor.x, columns), 1: (0, cursor.x + 1)}.get(numbers[0], (0, columns))
    screen.grid.put(cursor.y, first, [screen.erased] * (end - first))
    if cursor.is_pending and numbers[0] != 2:
        screen.grid.rows[cursor.y][-1] = None  # terminals do not agree


def _erase_cells(screen: Screen, count: int, _numbers: list[int]) -> None:
    """ECH"""
    cursor = screen.cursor
    screen.grid.put(cursor.y, cursor.x, [screen.erased] * min(count, screen.columns - cursor.x))


def _insert_cells(screen: Screen, count: int, _numbers: list[int]) -> None:
    """ICH"""
    cursor = screen.cursor
    count = min(count, screen.columns - cursor.x)
    screen.grid.insert(cursor.y, cursor.x, [screen.erased] * count)


def _delete_cells(screen: Screen, count: int, _numbers: list[int]) -> None:
    """DCH"""
    screen.grid.delete(screen.cursor.y, screen.cursor.x, count, screen.erased)


def _insert_lines(screen: Screen, count: int, _numbers: list[int]) -> None:
    """IL"""
    cursor = screen.cursor
    if screen.top <= cursor.y <= screen.bottom:
        screen.grid.scroll_down(cursor.y, screen.bottom, count, screen.erased)
        screen.below_is_blank = False
        cursor.x, cursor.is_pending = 0, False


def _delete_lines(screen: Screen, count: int, _numbers: list[int]) -> None:
    """DL"""
    cursor = screen.cursor
    if screen.top <= cursor.y <= screen.bottom:
        is_sure = cursor.place is Place.FIXED or screen.below_is_blank
        fill = screen.erased if is_sure else None
        screen.grid.scroll_up(cursor.y, screen.bottom, count, fill)
        cursor.x, cursor.is_pending = 0, False


def _scroll_up(screen: Screen, count: int, _numbers: list[int]) -> None:
    """SU"""
    if screen.cursor.place is Place.FIXED:
        screen.grid.scroll_up(screen.top, screen.bottom, count, screen.erased)
    else:
        screen.lose()


def _scroll_down(screen: Screen, count: int, numbers: list[int]) -> None:
    """SD; with five numbers it is the mouse's"""
    if screen.cursor.place is Place.FIXED and len(numbers) == 1:
        screen.grid.scroll_down(screen.top, screen.bottom, count, screen.erased)
    else:
        screen.lose()


def _repeat(screen: Screen, count: int, _numbers: list[int]) -> None:
    """REP"""
    if not screen.last or count > screen.columns:
        screen.lose()
    else:
        screen.write_text(screen.last * count)


# ------------------------------------------------------------------ modes


def _modes(screen: Screen, body: str, *, is_set: bool) -> None:
    """SM, RM and DEC's private ones"""
    is_private = body.startswith("?")
    words = body.removeprefix("?").split(";")
    for mode in (number(word) for word in words if word.isdigit()):
        if not is_private:
            _ansi_mode(screen, mode, is_set=is_set)
        elif mode == 6:
            screen.cursor.is_relative = is_set
            _move_to(screen, 0, 0)
        elif mode == 7:
            if screen.cursor.is_pending:
                screen.lose()
            screen.wraps = is_set
        elif mode == 1048:
            (_save if is_set else _restore)(screen)
        elif mode == 1049:
            (_show_alternate if is_set else _show_main)(screen)
        elif mode in _DANGEROUS_MODES:
            screen.is_odd = is_set
            screen.lose()


def _ansi_mode(screen: Screen, mode: int, *, is_set: bool) -> None:
    if mode == 4:
        screen.inserts = is_set
    elif mode == 20 and is_set:
        screen.is_odd = True


def _show_alternate(screen: Screen) -> None:
    if screen.main is None:
        screen.main = (screen.grid.copy(), screen.cursor.copy(), screen.below_is_blank,
                       screen.highest, screen.scrolled)  # fmt: skip
    screen.grid.erase_rows(0, screen.rows, screen.erased)


def _show_main(screen: Screen) -> None:
    if screen.main is None:
        _restore(screen)
        return
    (screen.grid, screen.cursor, screen.below_is_blank, screen.highest,
     screen.scrolled) = screen.main  # fmt: skip
    screen.main = None
    if screen.cursor.place is Place.LOST:
        screen.lose()


def _soft_reset(screen: Screen) -> None:
    """DECSTR"""
    screen.inserts, screen.wraps, screen.saved = False, True, None
    screen.top, screen.bottom = 0, screen.rows - 1
    cursor = screen.cursor
    cursor.is_relative, cursor.pen, cursor.sets, cursor.shift = False, Pen(), ["B", "B"], 0


def _reset(screen: Screen) -> None:
    """RIS"""
    screen.main, screen.is_odd, screen.tabs = None, False, None
    screen.cursor = Cursor(0)
    _soft_reset(screen)
    screen.grid.erase_rows(0, screen.rows, BLANK)
    screen.anchor(0, 0)


_ESCAPES: dict[str, Callable[[Screen], None]] = {
    "7": _save, "8": _restore, "D": Screen.line_feed, "E": _next, "H": _set_tab,
    "M": _index_back, "c": _reset,
}  # fmt: skip
_EDITS: dict[str, Callable[[Screen, int, list[int]], None]] = {
    "@": _insert_cells, "A": lambda screen, count, _: screen.go_up(count),
    "B": lambda screen, count, _: screen.go_down(count),
    "e": lambda screen, count, _: screen.go_down(count),
    "C": lambda screen, count, _: screen.go_aside(count),
    "a": lambda screen, count, _: screen.go_aside(count),
    "D": lambda screen, count, _: screen.go_aside(-count),
    "E": _next_line, "F": _previous_line, "G": _move_to_column, "`": _move_to_column,
    "H": _move, "f": _move, "J": _erase_display, "K": _erase_line, "L": _insert_lines,
    "M": _delete_lines, "P": _delete_cells, "S": _scroll_up, "T": _scroll_down,
    "X": _erase_cells, "b": _repeat, "d": _move_to_row, "g": _clear_tabs, "r": _margins,
}  # fmt: skip
