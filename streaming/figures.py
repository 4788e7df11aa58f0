"""Numbers, values and charts of the report for the page: text, and lengths to draw.

Pure; nothing here is HTML, so that templates escape all of it. Way in: FILTERS, in templates
`report_<name>`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sources.columns import shown_type
from sources.profile import Bin, Number, TimeBin, Value

# Longer texts and blobs are cut, and shown with their length.
SHOWN_CHARS = 100
SHOWN_BYTES = 16
# The sides of a chart, in no unit: it is scaled to its place.
BAR_WIDTH, CHART_HEIGHT = 10, 60
# A bar of at least one row is visible.
LEAST_HEIGHT = 0.8
# Reals between these are written as whole numbers.
_LARGE, _TOO_LARGE = 1e5, 1e15
# Smaller whole numbers are written without commas: many of them are years or identifiers.
_UNGROUPED = 10_000

# Invisible characters, and those that reorder the text around them: controls, line separators,
# bidirectional embeddings, overrides and isolates. Signs or their numbers are shown instead.
_INVISIBLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_SIGNS = {"\t": "⇥", "\n": "↵"}


class Shown(NamedTuple):
    """A value for the page. note: a remark beside it."""

    text: str
    note: str = ""


class Bar(NamedTuple):
    """A bar of a chart, from its top left corner; label: its numbers or dates."""

    x: float
    y: float
    width: float
    height: float
    label: str
    rows: int


def show_number(value: Number | None) -> str:
    """Return an integer with all its digits, a real with six or more; a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, float) and math.isinf(value):
        return "−∞" if value < 0 else "∞"
    comma = "" if abs(value) < _UNGROUPED else ","
    if isinstance(value, int):
        return f"{value:{comma}}"
    is_shown_whole = abs(value) < _TOO_LARGE and (value.is_integer() or abs(value) >= _LARGE)
    return f"{value:{comma}.0f}" if is_shown_whole else f"{value:{comma}.6g}"


def show_text(text: str, length: int | None = None) -> Shown:
    """Return a text on one line. length: in characters, when text is only its beginning."""
    visible = _INVISIBLE.sub(_sign, text[:SHOWN_CHARS])
    length = length or len(text)
    if length > SHOWN_CHARS:
        return Shown(f"{visible}…", f"{length:,} characters")
    return Shown(visible, "" if text else "empty text")


def show_value(value: Value) -> Shown:
    """Return a value other than NULL."""
    found, length = value
    if isinstance(found, str):
        return show_text(found, length)
    if not isinstance(found, bytes):
        return Shown(show_number(found))
    length = length or len(found)
    cut = "…" if length > SHOWN_BYTES else ""
    return Shown(f"x'{found[:SHOWN_BYTES].hex()}{cut}'", f"{length:,} {_plural(length, 'byte')}")


def show_share(part: int, whole: int) -> str:
    """Return a part as a percentage; 0 % and 100 % are exact."""
    if not whole or part in (0, whole):
        return "100 %" if whole and part == whole else "0 %"
    share = 100 * part / whole
    if share < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if share > 99.9 else f"{share:.1f} %"


def show_count(count: int, noun: str) -> str:
    """Return a count with its noun: `1 row`, `2,000 rows`."""
    return f"{count:,} {_plural(count, noun)}"


def length_of(part: int, whole: int) -> float:
    """Return the length of a bar for part, where whole has the length 100."""
    return round(max(100 * part / whole, LEAST_HEIGHT if part else 0.0), 2) if whole else 0.0


def show_bin(each: Bin, is_last: bool) -> str:
    """Return the numbers of a bin."""
    if each.start == each.stop:
        return show_number(each.start)
    up_to = "to" if is_last else "to below"
    return f"{show_number(each.start)} {up_to} {show_number(each.stop)}"


def show_time(moment: str, are_days: bool) -> str:
    """Return a date; are_days: without its time of day, which is midnight."""
    return moment[:10] if are_days else moment


def show_time_bin(each: TimeBin) -> str:
    """Return the dates of a bin."""
    # The text of an hour has no minutes.
    from_minute, to_minute = (":00", ":59") if len(each.first) == len("2026-03-05 14") else ("", "")
    if each.first == each.last:
        return each.first + from_minute
    return f"{each.first}{from_minute} to {each.last}{to_minute}"


def bars(bins: Sequence[Bin | TimeBin]) -> list[Bar]:
    """Return the bars of a histogram; the highest has CHART_HEIGHT."""
    most = max((each.rows for each in bins), default=0)
    drawn = []
    for place, each in enumerate(bins):
        height = round(length_of(each.rows, most) * CHART_HEIGHT / 100, 2)
        if isinstance(each, TimeBin):
            label = show_time_bin(each)
        else:
            label = show_bin(each, place == len(bins) - 1)
        x = place * BAR_WIDTH
        drawn.append(Bar(x + 0.5, CHART_HEIGHT - height, BAR_WIDTH - 1, height, label, each.rows))
    return drawn


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _sign(found: re.Match[str]) -> str:
    return _SIGNS.get(found[0]) or f"⟨{ord(found[0]):04X}⟩"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": show_number,
    "text": show_text,
    "value": show_value,
    "share": show_share,
    "count": show_count,
    "length": length_of,
    "bars": bars,
    "time": show_time,
    "type": shown_type,
}
