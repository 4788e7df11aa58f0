"""HTTP byte ranges: the bytes of a representation that a Range header asks for.

Pure: header text and a size in, half-open byte spans out; no Flask, no files. parse_range_spec
reads a header without the size, so that the answer can wait for these bytes of a journal that still
grows; resolve applies it later. Way in: parse_range. Source: RFC 9110, 14 and 15.5.17.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from wire.errors import WireError

# A request for more spans is served whole: each costs about 100 bytes of part headers.
MAX_SPANS = 16

# MAX_SPANS of the longest specs have 6 + 16 * 38 characters; the rest is for blanks and empty list
# elements (5.6.1: "a reasonable number"). It also bounds the work for any header.
MAX_HEADER_CHARS = 1024

_UNIT = re.compile(r"bytes=", re.IGNORECASE | re.ASCII)

# 18 digits are below 2**63 and exceed every size; a longer number is malformed, never clipped.
_SPEC = re.compile(r"(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})|-(?P<suffix>[0-9]{1,18})")


class Span(NamedTuple):
    """The bytes start <= i < stop."""

    start: int
    stop: int


class IntRange(NamedTuple):
    """The bytes first <= i <= last, as HTTP counts them; last None: to the end."""

    first: int
    last: int | None


class SuffixRange(NamedTuple):
    """The last `length` bytes."""

    length: int


RangeSpec = IntRange | SuffixRange


class UnsatisfiableRange(WireError):
    """The header is valid but asks for no byte that exists. HTTP: 416, `bytes */size`."""


def parse_range(header: str | None, size: int) -> list[Span] | None:
    """Return the spans asked for, in the order asked, or None to serve the whole.

    header: the raw field value, None when absent. size: bytes in the representation.
    None: absent, empty representation, unknown unit (14.2: MUST ignore), malformed,
    more than MAX_SPANS, or spans that add up to more than the whole (14.2: MAY ignore).
    Raises UnsatisfiableRange when every span starts at or past the end (15.5.17).
    """
    specs = parse_range_spec(header)
    return None if specs is None else resolve(specs, size)


def parse_range_spec(header: str | None) -> list[RangeSpec] | None:
    """Return the specs of a Range header, without the size, or None to serve the whole.

    header: the raw field value, None when absent. The list has 1 to MAX_SPANS specs in the order
    asked. None: absent, unknown unit, malformed (one bad spec invalidates the header, 14.1.1),
    longer than MAX_HEADER_CHARS or more than MAX_SPANS.
    """
    if header is None or len(header) > MAX_HEADER_CHARS:
        return None
    unit = _UNIT.match(header)
    if unit is None:
        return None
    # Blanks after "=" are allowed: the examples of 14.1.2 have them, and an erratum the grammar.
    elements = (element.strip(" \t") for element in header[unit.end() :].split(","))
    specs: list[RangeSpec] = []
    for element in filter(None, elements):
        spec = _parse_spec(element)
        if spec is None or len(specs) == MAX_SPANS:
            return None
        specs.append(spec)
    return specs or None


def resolve(specs: Iterable[RangeSpec], size: int) -> list[Span] | None:
    """Return the spans of specs in a representation of size bytes, or None for the whole.

    Each span is inside the representation and not empty. They keep the order asked and are not
    coalesced (15.3.7.2: MAY), so a client finds the parts it expects; overlaps are harmless, as the
    spans together are never more than the whole. None: they would be more, or size is 0.
    Raises UnsatisfiableRange when no spec names a byte that exists.
    """
    if size == 0:
        return None
    spans = [span for spec in specs if (span := _clip(spec, size)) is not None]
    if not spans:
        raise UnsatisfiableRange(f"none of the bytes asked for is among the {size} there are")
    if sum(span.stop - span.start for span in spans) > size:
        return None
    return spans


def content_range(span: Span, size: int | None) -> str:
    """Return the Content-Range value of one span; size None: not known yet (14.4)."""
    return f"bytes {span.start}-{span.stop - 1}/{'*' if size is None else size}"


def unsatisfied_range(size: int) -> str:
    """Return the Content-Range value of a 416 (14.4)."""
    return f"bytes */{size}"


def _parse_spec(text: str) -> RangeSpec | None:
    spec = _SPEC.fullmatch(text)
    if spec is None:
        return None
    if spec["suffix"]:
        return SuffixRange(int(spec["suffix"]))
    first, last = int(spec["first"]), int(spec["last"]) if spec["last"] else None
    # 14.1.1: "An int-range is invalid if the last-pos value is present and less than first-pos."
    return None if last is not None and last < first else IntRange(first, last)


def _clip(spec: RangeSpec, size: int) -> Span | None:
    if isinstance(spec, SuffixRange):
        return Span(max(0, size - spec.length), size) if spec.length else None
    if spec.first >= size:
        return None
    return Span(spec.first, size if spec.last is None else min(spec.last + 1, size))
