"""What is made of the measured values: medians, spread, a straight line, a table."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float]) -> tuple[float, float]:
    """10th and 90th percentile (with few values the extremes)."""
    if len(values) < 10:
        return min(values), max(values)
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return tenths[0], tenths[-1]


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """(value at 0, slope) by least squares; None if there is no second abscissa."""
    if len({x for x, _ in points}) < 2:
        return None
    slope, intercept = statistics.linear_regression(*zip(*points, strict=True))
    return intercept, slope


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]),
                   *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )  # fmt: skip
