"""Which export a bare Range may go on with: one that begins as all that the client can have.

A Range without If-Range does not say whose bytes the client has. It has none of those that it asks
for. So `bytes=n-` comes from a client that has the first n bytes of some export of the address; any
other range may come from one that has pieces from anywhere, as download managers do. Pure.
Way in: resumable, undecided.
"""

from __future__ import annotations

from collections.abc import Sequence

from exports.chain import Beginning, agree, may_agree
from exports.export import Export
from wire.ranges import IntRange, RangeSpec

# Of so many retained exports of an address the newest that fits is chosen.
MAX_TRIED = 8


def resumable(
    made: Sequence[Export], ranges: Sequence[RangeSpec], own: Sequence[Export]
) -> Export | None:
    """Return the newest retained export whose bytes may be added to what the client has.

    made: all exports that the client's bytes can be of, newest first. ranges: of the Range. own:
    those of them that it may have. None: there is none, or it is not proven that it has the
    same bytes as every other that the client's can be of.
    """
    others = _others(made, ranges)
    retained = [export for export in own if export.retained and export.journal.size]
    for export in retained[:MAX_TRIED]:
        offset = _offset(ranges)
        if offset is None or export.journal.size >= offset:
            is_proven = agree(export.beginning(), others, offset)
        else:
            # Nobody has got so many bytes here, so there are none to add to: 416.
            is_proven = not others and not export.is_open
        if is_proven:
            return export
    return None


def undecided(
    made: Sequence[Export], ranges: Sequence[RangeSpec], own: Sequence[Export]
) -> Export | None:
    """Return a retained export that still grows and may be resumable later, None without any.

    Of the same exports as `resumable`.
    """
    for export in own:
        if export.retained and export.is_open:
            others = _others([each for each in made if each is not export], ranges)
            offset = _offset(ranges)
            # Without another, a client has nothing of this address before the rest of it.
            if (others or offset is None) and may_agree(export.beginning(), others, offset):
                return export
    return None


def _others(made: Sequence[Export], ranges: Sequence[RangeSpec]) -> list[Beginning]:
    """Return the beginnings that the client's bytes can be of."""
    delivered = [each for each in made if each.delivered and (each.journal.size or each.is_open)]
    beginnings = [export.beginning() for export in delivered]
    match ranges:
        case [IntRange(first, None)]:
            return [beginning for beginning in beginnings if beginning.reaches(first)]
    return beginnings


def _offset(ranges: Sequence[RangeSpec]) -> int | None:
    """Return from where on the client asks for all, None if it may have pieces behind that.

    A bounded range may: of a longer export, or the end that readers of Parquet begin with.
    """
    match ranges:
        case [IntRange(first, None)]:
            return first
    return None
