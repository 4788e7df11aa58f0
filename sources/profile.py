"""What the rows of a query are like, as data: how a sample was taken, and a profile of a column.

Way in: Taken, Profile. A database's sample() makes them.
"""

from __future__ import annotations

from typing import NamedTuple

Number = int | float

# So many columns are profiled: more are not read.
MOST_COLUMNS = 200


class Taken(NamedTuple):
    """What a sample is. rows: how many it has. total: how many the query gave, None if unknown.

    kind: `all` of them; `spread`, by chance over all; `first`, those that came first in the time
    there was; `none`, no row came in that time.
    """

    kind: str
    rows: int
    total: int | None


class Value(NamedTuple):
    """A value. length: of a text in characters or of a blob in bytes, when value is cut.

    Of a value that is too long to be read, `…` or an empty blob stands here, and the length is in
    bytes.
    """

    value: int | float | str | bytes
    length: int | None


class Bin(NamedTuple):
    """How many numbers are in start <= number < stop; stop itself is in the last bin, and in one
    of a whole number (start == stop)."""

    start: Number
    stop: Number
    rows: int


class Numbers(NamedTuple):
    """The integers and reals. least, most: exact; None, as mean, when none is finite.

    quantiles: (share, the number that this share of the numbers is not above).
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
    """How many dates are in the units of time from first to last, `2026-01` to `2026-03`."""

    first: str
    last: str
    rows: int


class Times(NamedTuple):
    """The dates of a column that is declared as one, or of texts that are all dates, in UTC.

    earliest, latest: as of sources.dates. are_days: none has a time of day.
    """

    rows: int
    earliest: str
    latest: str
    are_days: bool
    bins: tuple[TimeBin, ...]


class Profile(NamedTuple):
    """A column. rows: how many were looked at, the whole sample or a part of it.

    numbers, texts, blobs: those that are no dates of times.

    distinct: values other than NULL; of values that are cut, those that begin alike and are of
    one length are one. frequent: those that are there more than once, the most frequent first.
    """

    rows: int
    nulls: int
    distinct: int
    times: Times | None
    numbers: Numbers | None
    texts: Lengths | None
    blobs: Lengths | None
    frequent: tuple[tuple[Value, int], ...]
