"""What must hold of rows that nobody can tell beforehand, for they are by chance or of the clock.

Each of these returns what checks the rows of a file: as text, None for NULL; with the unix seconds
between which the statement was run. Way in: all_once, one_of_every, twice_the_same, some_of,
the_last, all_at_once.
"""

from __future__ import annotations

import base64
import calendar
import time
from collections.abc import Callable

Rows = list[list[str | None]]
Check = Callable[[Rows, float, float], None]


def is_integer(cell: str) -> bool:
    return -(2**63) <= int(cell) < 2**63


def is_blob(length: int) -> Callable[[str], bool]:
    return lambda cell: len(base64.b64decode(cell, validate=True)) == length


def all_once(count: int, holds: Callable[[str], bool], distinct: bool = True) -> Check:
    """Each number up to count once, beside it something for which that holds."""

    def check(rows: Rows, _start: float, _end: float) -> None:
        assert sorted(int(i or "") for i, _ in rows) == [*range(1, count + 1)]
        assert all(cell is not None and holds(cell) for _, cell in rows)
        assert not distinct or len({cell for _, cell in rows}) == count

    return check


def _is_of_every(i: str | None, cell: str | None) -> bool:
    number = int(i or "")
    blob = base64.b64encode(bytes(number % 4)).decode()
    # Among reals an integer may be one.
    return cell in (None, str(number), f"{number}.0", f"{number}.5", f"t{number}", blob)


def one_of_every(count: int) -> Check:
    """Each number in order, beside it one of what may be there."""

    def check(rows: Rows, _start: float, _end: float) -> None:
        assert [i for i, _ in rows] == [str(i) for i in range(1, count + 1)]
        assert all(_is_of_every(i, cell) for i, cell in rows)

    return check


def twice_the_same(count: int) -> Check:
    """Each number once, beside it one of what may be there, twice."""

    def check(rows: Rows, _start: float, _end: float) -> None:
        assert sorted(int(i or "") for i, _, _ in rows) == [*range(1, count + 1)]
        assert all(_is_of_every(i, one) and one == other for i, one, other in rows)

    return check


def some_of(count: int) -> Check:
    """Some of the numbers, in order, twice."""

    def check(rows: Rows, _start: float, _end: float) -> None:
        found = [int(i or "") for i, _ in rows]
        assert found == sorted({*found})
        assert {*found} <= {*range(1, count + 1)}
        assert all(i == j for i, j in rows)

    return check


def the_last(count: int) -> Check:
    def check(rows: Rows, _start: float, _end: float) -> None:
        ((i, cell),) = rows
        assert i == str(count)
        assert is_integer(cell or "")

    return check


def is_unix_time(cell: str, start: float, end: float) -> bool:
    return int(start) <= int(cell) <= end


def is_time(cell: str, start: float, end: float) -> bool:
    return is_unix_time(str(calendar.timegm(time.strptime(cell, "%Y-%m-%d %H:%M:%S"))), start, end)


def is_julian_day(cell: str, start: float, end: float) -> bool:
    # A day in a double is exact to 0.05 ms; the clock is read in ms.
    return start - 0.01 <= (float(cell) - 2440587.5) * 86400 <= end + 0.01


def all_at_once(count: int, holds: Callable[[str, float, float], bool]) -> Check:
    """Each number in order, beside it the time of the statement, three times."""

    def check(rows: Rows, start: float, end: float) -> None:
        assert [i for i, *_ in rows] == [str(i) for i in range(1, count + 1)]
        (moment,) = {cell for _, *cells in rows for cell in cells}
        assert moment is not None
        assert holds(moment, start, end)

    return check
