"""Validators and preconditions: whether to send a representation, and whether to honour a Range.

Pure: header text and the current validators in, one ConditionResult out; no Flask, no files.
Evaluate before the ranges are parsed: a 304 or 412 precedes a 206 or 416 (RFC 9110 13.2.2).
Way in: Conditions.read, evaluate. Source: RFC 9110, 5.6.7, 8.8 and 13.
"""

from __future__ import annotations

import calendar
import datetime
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto
from typing import Literal

# 8.8.3: etagc is visible ASCII except the quote, and obs-text, which WSGI decodes as Latin-1. A
# comma is one of them, so a list cannot be split at commas.
_OPAQUE = re.compile(r"[\x21\x23-\x7e\x80-\xff]*")
_TAG = re.compile(rf'(?P<weak>W/)?"(?P<opaque>{_OPAQUE.pattern})"')
_TAG_IN_LIST = re.compile(rf"{_TAG.pattern}(?=[ \t]*(?:,|\Z))")
_LIST_GAP = re.compile(r"[ \t,]*")

# Not calendar.month_abbr, which depends on the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY_NAME = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY_NAME = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_DAY = "(?P<day>[0-9]{2})"
_YEAR = "(?P<year>[0-9]{4})"
_TIME = "(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_DATE_FORMATS = (
    re.compile(f"{_DAY_NAME}, {_DAY} {_MONTH} {_YEAR} {_TIME} GMT"),
    re.compile(f"{_LONG_DAY_NAME}, {_DAY}-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(f"{_DAY_NAME} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} {_YEAR}"),
)

# 13.2.1: methods that neither select nor modify a representation have no preconditions.
_UNCONDITIONAL_METHODS = frozenset({"CONNECT", "OPTIONS", "TRACE"})


class ConditionResult(Enum):
    """What to answer. SERVE performs the method and ignores Range; SERVE_RANGE honours it."""

    SERVE = auto()
    SERVE_RANGE = auto()
    NOT_MODIFIED = auto()
    PRECONDITION_FAILED = auto()


@dataclass(frozen=True, slots=True)
class EntityTag:
    """An entity tag; str() is its header form. Raises ValueError for characters it may not have."""

    opaque: str
    weak: bool = False

    def __post_init__(self) -> None:
        if not _OPAQUE.fullmatch(self.opaque):
            raise ValueError("an entity tag holds no blanks, quotes or controls")

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.opaque}"'


@dataclass(frozen=True, slots=True)
class Conditions:
    """The raw values of the conditional header fields and Range, None where absent."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None
    range: str | None = None

    @classmethod
    def read(cls, get: Callable[[str], str | None]) -> Conditions:
        """Return the conditions of a request; get: its `headers.get`, case-insensitive."""
        return cls(
            if_match=get("If-Match"),
            if_none_match=get("If-None-Match"),
            if_modified_since=get("If-Modified-Since"),
            if_unmodified_since=get("If-Unmodified-Since"),
            if_range=get("If-Range"),
            range=get("Range"),
        )


def evaluate(
    method: str,
    conditions: Conditions,
    etag: EntityTag | None,
    last_modified_s: float | None,
    *,
    last_modified_is_strong: bool = False,
) -> ConditionResult:
    """Return what RFC 9110 13.2.2 says to do for a representation that exists.

    etag, last_modified_s (unix seconds): the validators that the answer would have, None for none.
    last_modified_is_strong: the caller knows that the content did not change twice in that second
    (8.8.2.2); otherwise a date in If-Range never holds, and the whole is served.
    Call it only when the answer without conditions would be a success (13.2.1). A malformed date is
    ignored; malformed tags match nothing: a malformed If-Match is 412, a malformed If-None-Match or
    If-Range serves the whole.
    """
    if method in _UNCONDITIONAL_METHODS:
        return ConditionResult.SERVE
    if not _may_proceed(conditions, etag, last_modified_s):
        return ConditionResult.PRECONDITION_FAILED
    if not _has_changed(method, conditions, etag, last_modified_s):
        reads = method in {"GET", "HEAD"}
        return ConditionResult.NOT_MODIFIED if reads else ConditionResult.PRECONDITION_FAILED
    # 14.2: a Range with any method but GET MUST be ignored, and with it its If-Range.
    if method != "GET" or conditions.range is None:
        return ConditionResult.SERVE
    date_s = last_modified_s if last_modified_is_strong else None
    if conditions.if_range is None or _is_same(conditions.if_range, etag, date_s):
        return ConditionResult.SERVE_RANGE
    return ConditionResult.SERVE


def parse_entity_tags(header: str) -> Literal["*"] | tuple[EntityTag, ...]:
    """Return the tags of an If-Match or If-None-Match value, or "*" when it is exactly that.

    A malformed element is skipped up to the next comma. Linear in the header's length.
    """
    if header.strip(" \t") == "*":
        return "*"
    tags = []
    position = _end_of_gap(header, 0)
    while position < len(header):
        match = _TAG_IN_LIST.match(header, position)
        if match is not None:
            tags.append(_entity_tag(match))
            position = match.end()
        else:
            comma = header.find(",", position)
            position = len(header) if comma < 0 else comma
        position = _end_of_gap(header, position)
    return tuple(tags)


def is_strong_match(one: EntityTag, other: EntityTag) -> bool:
    """Are both strong and equal? Then so are their bytes (8.8.3.2)."""
    return not one.weak and not other.weak and one.opaque == other.opaque


def is_weak_match(one: EntityTag, other: EntityTag) -> bool:
    """Are the opaque parts equal, weak or not (8.8.3.2)?"""
    return one.opaque == other.opaque


def parse_http_date(text: str, *, now_s: float | None = None) -> int | None:
    """Return the unix seconds of an HTTP-date in any of the three formats of 5.6.7, else None.

    now_s: unix seconds, from the clock when None; it decides the century of a two-digit year.
    The name of the day is not checked against the date.
    """
    text = text.strip(" \t")
    match = next((m for m in (form.fullmatch(text) for form in _DATE_FORMATS) if m), None)
    if match is None:
        return None
    month, day = _MONTHS.index(match["month"]) + 1, int(match["day"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    year = int(match["year"])
    if len(match["year"]) == 2:
        now = time.gmtime(time.time() if now_s is None else now_s)
        year = _full_year(year, (month, day, hour, minute, second), now)
    try:
        datetime.date(year, month, day)
    except ValueError:
        return None
    # Unlike datetime, timegm takes the leap second that the grammar allows (23:59:60).
    return calendar.timegm((year, month, day, hour, minute, second))


def format_http_date(time_s: float) -> str:
    """Return unix seconds, rounded down, as an IMF-fixdate; years 1 to 9999."""
    return formatdate(math.floor(time_s), usegmt=True)


def _may_proceed(
    conditions: Conditions, etag: EntityTag | None, last_modified_s: float | None
) -> bool:
    """Apply steps 1 and 2 of 13.2.2: If-Match, else If-Unmodified-Since."""
    if conditions.if_match is not None:
        return _names(conditions.if_match, etag, is_strong_match)
    if conditions.if_unmodified_since is not None and last_modified_s is not None:
        date_s = parse_http_date(conditions.if_unmodified_since)
        return date_s is None or math.floor(last_modified_s) <= date_s
    return True


def _has_changed(
    method: str, conditions: Conditions, etag: EntityTag | None, last_modified_s: float | None
) -> bool:
    """Apply steps 3 and 4 of 13.2.2: If-None-Match, else If-Modified-Since of a GET or HEAD."""
    if conditions.if_none_match is not None:
        return not _names(conditions.if_none_match, etag, is_weak_match)
    if method not in {"GET", "HEAD"}:
        return True
    if conditions.if_modified_since is not None and last_modified_s is not None:
        date_s = parse_http_date(conditions.if_modified_since)
        return date_s is None or math.floor(last_modified_s) > date_s
    return True


def _names(
    header: str, etag: EntityTag | None, is_match: Callable[[EntityTag, EntityTag], bool]
) -> bool:
    tags = parse_entity_tags(header)
    if tags == "*":
        return True
    return etag is not None and any(is_match(tag, etag) for tag in tags)


def _is_same(if_range: str, etag: EntityTag | None, date_s: float | None) -> bool:
    """Does If-Range hold (13.1.5)? date_s: None if there is no date, or it is a weak validator."""
    tag = _TAG.fullmatch(if_range.strip(" \t"))
    if tag is not None:
        return etag is not None and is_strong_match(_entity_tag(tag), etag)
    return date_s is not None and parse_http_date(if_range) == math.floor(date_s)


def _entity_tag(match: re.Match[str]) -> EntityTag:
    return EntityTag(match["opaque"], weak=match["weak"] is not None)


def _end_of_gap(header: str, position: int) -> int:
    gap = _LIST_GAP.match(header, position)
    return position if gap is None else gap.end()


def _full_year(year: int, rest: tuple[int, ...], now: time.struct_time) -> int:
    """Return the latest year with these two digits, at most 50 years ahead (5.6.7)."""
    latest = now.tm_year + 50
    full = latest - (latest - year) % 100
    return full - 100 if full == latest and rest > now[1:6] else full
