"""The data of a report: how a sample was taken, and the profile of a column.

Way in: SampleInfo, Profile. A database's sample() makes them.
"""

from __future__ import annotations

from typing import NamedTuple

Number = int | float

# The most columns that are profiled.
MOST_COLUMNS = 200


class SampleInfo(NamedTuple):
    """How a sample was taken. rows: in it. total: rows of the query, None if unknown.

    kind: `all` rows; `spread`, a random choice of all; `first`, the first ones, as many as the time
    allowed; `none`, no row came in that time.
    """

    kind: str
    rows: int
    total: int | None


class Value(NamedTuple):
    """A value. length: of a text in characters or of a blob in bytes, when value is cut.

    A value that is too long to be read is `…` or an empty blob, with its length in bytes.
    """

    value: int | float | str | bytes
    length: int | None


class Bin(NamedTuple):
    """rows: of numbers in start <= number < stop; the last bin includes stop, and so does a bin of
    one whole number (start == stop)."""

    start: Number
    stop: Number
    rows: int


class Numbers(NamedTuple):
    """The integers and reals. least, most: exact; None, as mean, when none is finite.

    quantiles: (share, the number which that share of the numbers does not exceed).
    """

    integers: int
    reals: int
    infinite: int
    least: Number | None
    most: Number | None
    mean: float | None
    quantiles: tuple[tuple[float, Number], ...]
    bins: tuple[Bin, ...]


class Lengths(NamedTuple):
    """The texts, in characters, or the blobs, in bytes. first, last: by order of their bytes."""

    rows: int
    shortest: int
    longest: int
    mean: float
    first: Value
    last: Value
    example: Value


class TimeBin(NamedTuple):
    """rows: of dates in the units of time from first to last, `2026-01` to `2026-03`."""

    first: str
    last: str
    rows: int


class Times(NamedTuple):
    """The dates of a column of dates, or of texts that are all dates, in UTC.

    earliest, latest: as of sources.dates. are_days: none has a time of day.
    """

    rows: int
    earliest: str
    latest: str
    are_days: bool
    bins: tuple[TimeBin, ...]


class Profile(NamedTuple):
    """A column. rows: that were read, the whole sample or a part of it.

    numbers, texts, blobs: the values that are not in times.

    distinct: values other than NULL; cut values with the same beginning and length count as one.
    frequent: values that occur more than once, the most frequent first.
    """

    rows: int
    nulls: int
    distinct: int
    times: Times | None
    numbers: Numbers | None
    texts: Lengths | None
    blobs: Lengths | None
    frequent: tuple[tuple[Value, int], ...]
