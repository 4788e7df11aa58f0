"""The export with which a request to the address of a download resumes.

It is the one that the request names, or one that is proven to begin with the bytes that the client
can have; docs/decisions/0003-never-a-splice.md says why.

Way in: find_resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing

from flask import url_for

from auth.request_scheduler import turn_paused
from exports.export import Export
from exports.service import ExportService
from exports.spec import ExportSpec
from streaming.answers import PRESENCE_CHECK_S, etag_of
from streaming.errors import Refusal
from wire.ranges import IntRange, RangeSpec, SuffixRange, parse_range_spec
from wire.validators import Conditions, EntityTag, is_strong_match, parse_entity_tags


def find_resumed(
    exports: ExportService,
    spec: ExportSpec,
    conditions: Conditions,
    *,
    wait_s: float,
    has_left: Callable[[], bool],
) -> Export | None:
    """Return the export with which a request resumes, None when it begins with the current one.

    conditions: of a GET, or of a HEAD without its Range. wait_s: how long it waits for an export
    to grow until it can be compared. Raises Refusal where no export may be used or begun.
    """
    tags = "*" if conditions.if_match is None else parse_entity_tags(conditions.if_match)
    if isinstance(tags, tuple):
        return _named(exports, spec, tags, has_range=conditions.range is not None)
    ranges = parse_range_spec(conditions.range)
    if ranges is None:
        return None
    if conditions.if_range is not None:
        named = conditions.if_range.strip(" \t")
        made = exports.made_at(spec.address())
        return next((e for e in made if e.retained and str(etag_of(e)) == named), None)
    if all(isinstance(each, IntRange) and each.first == 0 for each in ranges):
        return None
    export = _proven(exports, spec.address(), ranges, wait_s, has_left)
    if export is None and not _is_first_look(exports, spec.address(), ranges):
        raise _refusal(exports, spec.address(), ranges)
    return export


def _named(
    exports: ExportService, spec: ExportSpec, tags: Sequence[EntityTag], *, has_range: bool
) -> Export:
    """Return the export that If-Match names: with a Range any that is kept, else the current one.

    Where it names none of them, return the current one, if any, for which the condition is false.
    """
    current = exports.find(spec)
    made = exports.made_at(spec.address()) if has_range else []
    for export in made:
        if export.retained and any(is_strong_match(tag, etag_of(export)) for tag in tags):
            return export
    if current is None:
        message = "the export that If-Match names is not kept"
        raise Refusal(412, "precondition_failed", message)
    return current


def _proven(
    exports: ExportService,
    address: str,
    ranges: Sequence[RangeSpec],
    wait_s: float,
    has_left: Callable[[], bool],
) -> Export | None:
    deadline_s = time.monotonic() + wait_s
    while (export := exports.resumable(address, ranges)) is None:
        growing = exports.undecided(address, ranges)
        if growing is None:
            return None
        if time.monotonic() > deadline_s or has_left():
            message = "the export is still being recorded; request these bytes again"
            detail = {"rows": growing.rows, "bytes": growing.journal.size}
            raise Refusal(503, "still_recording", message, detail)
        # Without a reader the export would be abandoned meanwhile.
        with turn_paused(), closing(exports.read(growing, delivers=False)):
            growing.journal.wait(growing.journal.size, PRESENCE_CHECK_S)
    return export


def _is_first_look(exports: ExportService, address: str, ranges: Sequence[RangeSpec]) -> bool:
    """Is it the end of an export of which no client has any byte? Parquet's readers begin so."""
    is_end = len(ranges) == 1 and isinstance(ranges[0], SuffixRange)
    return is_end and exports.is_untouched(address)


def _refusal(exports: ExportService, address: str, ranges: Sequence[RangeSpec]) -> Refusal:
    first = ranges[0].first if isinstance(ranges[0], IntRange) else 0
    named = [
        {
            "id": export.id,
            "etag": str(etag_of(export)),
            "bytes": export.journal.size,
            "url": url_for("exports.file", export_id=export.id),
        }
        for export in exports.made_at(address)
        if export.retained and export.journal.size >= first
    ]
    if named:
        message = (
            "it is not known to which export your bytes belong: name it by If-Range with its ETag, "
            "or use /exports/<id>/file; or begin without a Range"
        )
    else:
        message = (
            "no export that this Range could resume is kept: begin without a Range, or prepare one "
            "by POST /exports and try again, which resumes if its bytes are the same"
        )
    return Refusal(409, "cannot_resume", message, {"exports": named})
