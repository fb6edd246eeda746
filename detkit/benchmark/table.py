"""Rows of a table of measured times."""

from __future__ import annotations

from detkit.benchmark.timing import Times
from detkit.benchmark.verdict import rate

NAME_WIDTH = 38


def table_heading() -> str:
    """The heading above the columns."""
    return f"{'':{NAME_WIDTH}}  {'median':>9}  {'from':>9}  {'to':>9}  {'images/s':>8}"


def table_row(name: str, times: Times, images: int = 0) -> str:
    """Median, shortest and longest time, and the rate if a number of images is given."""
    numbers = "  ".join(milliseconds(value) for value in (times.median, times.low, times.high))
    speed = f"  {rate(images / times.median):>8}" if images else ""
    return f"{'  ' + name:{NAME_WIDTH}}  {numbers}{speed}"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with about three digits."""
    value = 1e3 * seconds
    return f"{value:6,.{2 if value < 10 else 1 if value < 1000 else 0}f} ms"  # noqa: PLR2004
