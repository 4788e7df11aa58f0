"""The SQL that compares stored values with the dates of a filter.

SQL converts a stored value to a text in UTC, as in sources.dates. A year, a month or a day is
compared with its beginning. Pure. Way in: dates_sql, moment_sql. Source:
https://sqlite.org/lang_datefunc.html.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from sources.dates import first_day, last_day, moved

# Takes a value and returns SQL for it.
Bind = Callable[[str | float], str]

_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_CLOCK = "[0-9][0-9]:[0-9][0-9]"


def dates_sql(
    cell: str,
    affinity: str,
    operator: str,
    values: Sequence[str],
    bind: Bind,
) -> str:
    """Return the condition of an operator on a date: `eq ne in gt gte lt lte`.

    values: of read_date. bind: takes a value and returns SQL for it. The condition is NULL for a
    cell that is no date.
    """
    key = moment_sql(cell)
    if operator in _OPERATORS:
        exact = f"{_as_long_as(key, values[0])} {_OPERATORS[operator]} {bind(values[0])}"
    else:
        # One list for all values of a length: there may be hundreds.
        of_a_length: dict[str, list[str]] = {}
        for value in values:
            of_a_length.setdefault(_as_long_as(key, value), []).append(bind(value))
        is_in, joint = ("not in", " and ") if operator == "ne" else ("in", " or ")
        exact = joint.join(
            f"{part} {is_in} ({', '.join(bound)})" for part, bound in of_a_length.items()
        )
    if operator == "ne":
        return exact
    return f"({_nearby_sql(cell, affinity, operator, values, bind)}) and ({exact})"


def moment_sql(cell: str) -> str:
    """Return an expression for the value of cell as a text in UTC, NULL where it is no date.

    Texts: a day, or a day and a time. Numbers: as the modifier `auto` of SQLite's functions takes
    them, in the years 0000 to 9999.
    """
    number = f"rtrim(rtrim(strftime('%Y-%m-%d %H:%M:%f', {cell}, 'auto'), '0'), '.')"
    second = f"substr({cell}, 1, 19)"
    plain = f"replace({second}, 'T', ' ')"
    # SQLite takes the 30th of February for a day in March, and 'now' for a time: its result equals
    # the text only for a date. The usual forms come first; they take 0.2 to 1.5 µs, others 3.
    is_plain = f"length({cell}) >= 19 and datetime({second}) = {plain} collate binary"
    rest = f"substr({cell}, 20)"
    in_utc = f"substr({cell}, 20, length({cell}) - iif(substr({cell}, -1) = 'Z', 20, 25))"
    return (
        f"case typeof({cell}) when 'text' then case"
        f" when length({cell}) = 10 then iif(date({cell}) = {cell} collate binary,"
        f" {cell} || ' 00:00:00', null)"
        f" when {is_plain} and {rest} not glob '*[^.0-9]*' then {_with_fraction(plain, rest)}"
        f" when {is_plain} and ({cell} glob '*[.0-9]Z' or {cell} glob '*[.0-9]+00:00')"
        f" then {_with_fraction(plain, in_utc)}"
        f" when {cell} glob '{_DAY}[Tt ]{_CLOCK}*' and {cell} >= '0000-01-02' collate binary"
        f" then {_zoned_sql(cell)} end"
        f" when 'blob' then null else case when {cell} >= {_FIRST_SECOND}"
        f" and ({cell} < 0 or {cell} >= {_FIRST_JULIAN}) then {number} end end"
    )


def _zoned_sql(cell: str) -> str:
    """Return an expression for a text of an unusual form that begins with a day and a time."""
    zone = (
        "case when zone = '' then '' when zone in ('Z', 'z') then 'Z'"
        " when zone glob '[+-][0-9][0-9]' then zone || ':00'"
        " when zone glob '[+-][0-9][0-9][0-9][0-9]'"
        " then substr(zone, 1, 3) || ':' || substr(zone, 4)"
        " when zone glob '[+-][0-9][0-9]:[0-9][0-9]' then zone end"
    )
    moment = _with_fraction(f"datetime(day || ' ' || clock || {zone})", "fraction")
    # The limits keep SQLite from computing the parts again wherever they are used.
    return (
        f"(select iif(date(day) = day and (fraction = '' or length(clock) = 8), {moment}, null)"
        " from (select day, clock, trim(tail) as zone,"
        " substr(rest, 1, length(rest) - length(tail)) as fraction"
        " from (select day, clock, rest, ltrim(rest, '.0123456789') as tail"
        f" from (select substr({cell}, 1, 10) as day,"
        f" substr({cell}, 12, iif(substr({cell}, 17, 1) = ':', 8, 5)) as clock,"
        f" substr({cell}, iif(substr({cell}, 17, 1) = ':', 20, 17)) as rest"
        " limit 1) limit 1) limit 1))"
    )


def _with_fraction(moment: str, fraction: str) -> str:
    """Return SQL for a moment with a stored fraction, `.250` or an empty text."""
    is_one = f"{fraction} glob '.[0-9]*' and substr({fraction}, 2) not glob '*[^0-9]*'"
    return (
        f"iif({fraction} = '' or ({is_one}), {moment} || rtrim(rtrim({fraction}, '0'), '.'), null)"
    )


# 0000-01-01, and the day after 9999-12-31.
_FIRST_SECOND, _END_SECOND = -62_167_219_200, 253_402_300_800
_FIRST_JULIAN, _END_JULIAN = 1_721_059.5, 5_373_485.0
_EPOCH = date(1970, 1, 1)
# The julian day number at midnight, minus date.toordinal().
_JULIAN = 1_721_424.5


def _as_long_as(key: str, value: str) -> str:
    return f"substr({key}, 1, {len(value)})" if len(value) <= 10 else key


def _nearby_sql(
    cell: str,
    affinity: str,
    operator: str,
    values: Sequence[str],
    bind: Bind,
) -> str:
    """Return a condition that an index can answer, true of all wanted rows and of some others.

    A text begins with a day that is at most one day from its day in UTC.
    """
    first = None if operator in ("lt", "lte") else min(filter(None, map(first_day, values)))
    last = None if operator in ("gt", "gte") else max(filter(None, map(last_day, values)))
    least = moved(first, -1)
    most = moved(last, 2)
    # Below and above all texts that begin with a digit; neither is a number.
    from_text, to_text = (str(least) if least else "0-"), (str(most) if most else ":")
    ranges = [f"{cell} between {bind(from_text)} and {bind(to_text)}"]
    if affinity != "TEXT":
        seconds = [_seconds(least, _FIRST_SECOND), _seconds(most, _END_SECOND)]
        days = [_julian(least, _FIRST_JULIAN), _julian(most, _END_JULIAN)]
        ranges += [f"{cell} between {bind(low)} and {bind(high)}" for low, high in (seconds, days)]
    return " or ".join(ranges)


def _seconds(day: date | None, otherwise: int) -> float:
    return (day - _EPOCH).days * 86_400.0 if day else float(otherwise)


def _julian(day: date | None, otherwise: float) -> float:
    return day.toordinal() + _JULIAN if day else otherwise
