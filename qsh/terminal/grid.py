"""The cells of a terminal's screen, and what editing them does. Columns and rows count from 0."""

Cell = tuple[str, str] | None
"""A character with what combines with it, and the pen's text that it was written with. An empty
character is an erased cell, its pen that of the erasing; `TAIL` the right half of a wide one. None
where nobody knows."""
Row = list[Cell]

TAIL = "\0"
MOST_COMBINED = 32
"""Code points of a cell; terminals keep fewer."""


class Grid:
    """So many rows of so many columns."""

    def __init__(self, columns: int, rows: int, fill: Cell = None) -> None:
        self.columns = columns
        self.rows: list[Row] = [self.new_row(fill) for _ in range(rows)]
        self.is_forgotten = fill is None
        """Surely nothing is known; False tells nothing."""

    def new_row(self, fill: Cell) -> Row:
        """A row of this one cell."""
        return [fill] * self.columns

    def copy(self) -> "Grid":
        """The same cells."""
        other = Grid(self.columns, 0)
        other.rows = [row[:] for row in self.rows]
        other.is_forgotten = self.is_forgotten
        return other

    def forget(self) -> None:
        """Nobody knows what stands anywhere."""
        if not self.is_forgotten:
            self.rows = [self.new_row(None) for _ in self.rows]
            self.is_forgotten = True

    def is_all(self, cell: Cell) -> bool:
        """Whether there is nothing else."""
        return all(row.count(cell) == self.columns for row in self.rows)

    # ------------------------------------------------------------ a row

    def put(self, y: int, x: int, cells: Row) -> None:
        """Overwrite; half of a wide character that is left is nobody's to know."""
        self.is_forgotten = False
        row, end = self.rows[y], x + len(cells)
        if x and _is_tail(row[x]):
            row[x - 1] = None
        if end < self.columns and _is_tail(row[end]):
            row[end] = None
        row[x:end] = cells

    def insert(self, y: int, x: int, cells: Row) -> None:
        """Push what stands there to the right, and out."""
        self.is_forgotten = False
        row = self.rows[y]
        if x and _is_tail(row[x]):
            row[x - 1] = row[x] = None
        row[x:x] = cells
        del row[self.columns :]
        if row[-1] is not None and _is_cut(row):
            row[-1] = None

    def delete(self, y: int, x: int, count: int, fill: Cell) -> None:
        """Take cells out; the rest moves up from the right."""
        self.is_forgotten = False
        row = self.rows[y]
        count = min(count, self.columns - x)
        self.put(y, x, [None] * count)
        row[x : x + count] = []
        row += [fill] * count

    def combine(self, y: int, x: int, mark: str) -> None:
        """Add a mark to the character that ends before column x."""
        row, at = self.rows[y], x - 1
        if not x:
            row[0] = None
            return
        cell = row[at]
        if _is_tail(cell) and at:
            at -= 1
            cell = row[at]
        if cell is None or not cell[0]:
            row[at] = None
        elif len(cell[0]) < MOST_COMBINED:
            row[at] = (cell[0] + mark, cell[1])

    # ------------------------------------------------------------ rows

    def scroll_up(self, top: int, bottom: int, count: int, fill: Cell) -> None:
        """Rows `top` to `bottom` move up; empty ones come from below."""
        self.is_forgotten = False
        count = min(count, bottom - top + 1)
        del self.rows[top : top + count]
        at = bottom + 1 - count
        self.rows[at:at] = [self.new_row(fill) for _ in range(count)]

    def scroll_down(self, top: int, bottom: int, count: int, fill: Cell) -> None:
        """Rows `top` to `bottom` move down; empty ones come from above."""
        self.is_forgotten = False
        count = min(count, bottom - top + 1)
        del self.rows[bottom + 1 - count : bottom + 1]
        self.rows[top:top] = [self.new_row(fill) for _ in range(count)]

    def erase_rows(self, first: int, end: int, fill: Cell) -> None:
        """Rows `first` to before `end`."""
        self.is_forgotten = False
        for y in range(first, end):
            self.rows[y] = self.new_row(fill)


def _is_tail(cell: Cell) -> bool:
    return cell is not None and cell[0] == TAIL


def _is_cut(row: Row) -> bool:
    """Whether the last cell is the left half of a wide character."""
    from qsh.terminal.widths import width

    last = row[-1]
    return last is not None and last[0] not in ("", TAIL) and width(last[0][0]) == 2
