"""The bins of a histogram by time: seconds to centuries, the finest that are not too many.

A moment is a text in UTC, as in sources.dates; a unit of time is its first characters: 4 of a
year, 7 of a month, up to 19 of a second. Pure. Way in: bins_for.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

MOST_BINS = 64

_YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND = 4, 7, 10, 13, 16, 19
# Where a scale would have 65 bins, the next one has 9 at least. A week begins on Monday.
_SCALES = (
    (_SECOND, 1), (_SECOND, 5), (_SECOND, 15), (_MINUTE, 1), (_MINUTE, 5), (_MINUTE, 15),
    (_HOUR, 1), (_HOUR, 6), (_DAY, 1), (_DAY, 7), (_MONTH, 1), (_MONTH, 3),
    (_YEAR, 1), (_YEAR, 5), (_YEAR, 25), (_YEAR, 100), (_YEAR, 250),
)  # fmt: skip
# The calendar repeats after 400 years; Python's begins with the year 1.
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097


class TimeBins(NamedTuple):
    """chars: of the unit. names: the first and the last unit of each bin, in order."""

    chars: int
    names: tuple[tuple[str, str], ...]
    first: int
    step: int

    def place(self, moment: str) -> int:
        """Return the index of the bin of a moment."""
        return _number(moment, self.chars) // self.step - self.first


def bins_for(earliest: str, latest: str) -> TimeBins:
    """Return the finest bins from one moment to the other that are at most MOST_BINS."""
    for chars, step in _SCALES:
        first = _number(earliest, chars) // step
        last = _number(latest, chars) // step
        if last - first < MOST_BINS:
            break
    names = [
        (_name(place * step, chars), _name(place * step + step - 1, chars))
        for place in range(first, last + 1)
    ]
    return TimeBins(chars, tuple(names), first, step)


def _number(moment: str, chars: int) -> int:
    """Return the number of a moment's unit of time; successive units have successive numbers."""
    year = int(moment[:4])
    if chars == _YEAR:
        return year
    month = int(moment[5:7])
    if chars == _MONTH:
        return year * 12 + month - 1
    cycles, year = divmod(year - 1, _CYCLE_YEARS)
    number = cycles * _CYCLE_DAYS + date(year + 1, month, int(moment[8:10])).toordinal() - 1
    for after, length, place in ((_DAY, 24, 11), (_HOUR, 60, 14), (_MINUTE, 60, 17)):
        if chars > after:
            number = number * length + int(moment[place : place + 2])
    return number


def _name(number: int, chars: int) -> str:
    """Return the unit of time with this number."""
    if chars == _YEAR:
        return f"{number:04}"
    if chars == _MONTH:
        return f"{number // 12:04}-{number % 12 + 1:02}"
    clock = ""
    for after, length, mark in ((_MINUTE, 60, ":"), (_HOUR, 60, ":"), (_DAY, 24, " ")):
        if chars > after:
            number, rest = divmod(number, length)
            clock = f"{mark}{rest:02}{clock}"
    cycles, rest = divmod(number, _CYCLE_DAYS)
    day = date.fromordinal(rest + 1)
    return f"{day.year + cycles * _CYCLE_YEARS:04}-{day:%m-%d}{clock}"
