"""Dates and times in a selection: a year, a month, a day or a moment.

A moment is a text in UTC, `2026-03-05 10:30:00.25`, with a fraction of any length: such texts sort
as their moments. A year, a month and a day are its first 4, 7 or 10 characters.
Pure. Way in: read_date.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, timedelta

_ASKED = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)"
    # An unescaped + in a query string is read as a blank.
    r"(?:(?<=:[0-9]{2}:[0-9]{2})\.(?P<fraction>[0-9]+))?"
    r"(?:[Zz]| ?(?P<zone>[-+ ][0-9]{2}:?[0-9]{2}))?"
)
_PERIOD = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
# SQLite's limit of an offset.
_LARGEST_OFFSET = timedelta(hours=14, minutes=59)


def read_date(text: str) -> str | None:
    """Return a year, a month, a day or a moment in comparable form; None where text is none.

    text: `2026`, `2026-03`, `2026-03-05`, or `2026-03-05T10:30`, also with a blank for T, seconds,
    a fraction and `Z` or an offset like `+02:00`. Without an offset it is in UTC.
    """
    if _PERIOD.fullmatch(text):
        return text if first_day(text) else None
    found = _ASKED.fullmatch(text)
    if not found:
        return None
    zone = (found["zone"] or "").replace(" ", "+") or "+00:00"
    try:
        moment = datetime.fromisoformat(f"{found['day']} {found['clock']}{zone}")
        if abs(moment.utcoffset() or timedelta()) > _LARGEST_OFFSET:
            return None
        whole = moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    except (ValueError, OverflowError):
        return None
    fraction = (found["fraction"] or "").rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def first_day(value: str) -> date | None:
    """Return the first day of a value, None if it has none."""
    try:
        return date.fromisoformat(value[:10] + "-01-01"[len(value[:10]) - 4 :])
    except ValueError:
        return None


def last_day(value: str) -> date | None:
    first = first_day(value)
    if first is None or len(value) >= 10:
        return first
    month = first.month if len(value) == 7 else 12
    return date(first.year, month, calendar.monthrange(first.year, month)[1])


def moved(day: date | None, days: int) -> date | None:
    """Return the day so many days later, None outside of the calendar."""
    try:
        return day + timedelta(days) if day else None
    except OverflowError:
        return None
