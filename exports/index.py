"""Finds exports without a look at others: by id, address, data, and by which principals see them.

Way in: Index. Not thread-safe.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from exports.export import Export
from exports.service import Point, View
from exports.spec import DEFINITION_CHARS, STEM_CHARS


class Index:
    """See the module. What it finds exports by never changes, but the fingerprint."""

    def __init__(self) -> None:
        self.by_id: dict[str, Export] = {}
        # Each by id, the newest last.
        self._by_address: dict[str, dict[str, Export]] = {}
        self._by_stem: dict[str, dict[str, Export]] = {}
        self._by_data: dict[tuple[str, str], dict[str, Export]] = {}
        self._data_of: dict[str, tuple[str, str]] = {}
        # The oldest first.
        self._points: dict[View, list[Point]] = defaultdict(list)

    def add(self, export: Export) -> None:
        self.by_id[export.id] = export
        self._by_address.setdefault(export.address, {})[export.id] = export
        self._by_stem.setdefault(export.address[:STEM_CHARS], {})[export.id] = export
        if export.fingerprint is not None:
            data = self._data_of[export.id] = (export.identity, export.fingerprint)
            self._by_data.setdefault(data, {})[export.id] = export
        for view in _views(export):
            insort(self._points[view], Point.of(export))

    def remove(self, export: Export) -> None:
        del self.by_id[export.id]
        _drop(self._by_address, export.address, export.id)
        _drop(self._by_stem, export.address[:STEM_CHARS], export.id)
        self._drop_data(export.id)
        for view in _views(export):
            points = self._points[view]
            del points[bisect_left(points, Point.of(export))]
            if not points:
                del self._points[view]

    def newest(self, address: str) -> Iterator[Export]:
        """Yield the exports of an address, newest first."""
        return reversed(self._by_address.get(address, {}).values())

    def comparable(self, address: str) -> Iterator[Export]:
        """Yield the exports of which a client of this address may have bytes, newest first.

        Those are its own, and those of the same URL before the catalogue defined it otherwise.
        """
        definition = address[:DEFINITION_CHARS]
        for export in reversed(self._by_stem.get(address[:STEM_CHARS], {}).values()):
            if export.address == address or export.address[:DEFINITION_CHARS] != definition:
                yield export

    def shareable(self, identity: str, fingerprint: str) -> Export | None:
        """Return the retained export of this data. What can never be shared again is dropped."""
        for export in list(self._by_data.get((identity, fingerprint), {}).values()):
            if export.retained and export.fingerprint == fingerprint:
                return export
            self._drop_data(export.id)
        return None

    def count(self, views: Iterable[View]) -> int:
        return sum(len(self._points.get(view, ())) for view in views)

    def page(self, views: Sequence[View], before: Point | None, limit: int) -> list[Export]:
        """Return so many exports of the views, newest first, from the one before a point on."""
        lists = [self._points[view] for view in views if view in self._points]
        each = [_backwards(points, before) for points in lists]
        merged = heapq.merge(*each, reverse=True)
        return [self.by_id[point.id] for point in islice(merged, limit)]

    def _drop_data(self, export_id: str) -> None:
        data = self._data_of.pop(export_id, None)
        if data is not None:
            _drop(self._by_data, data, export_id)


def _views(export: Export) -> tuple[View, View]:
    return View(export.definition, export.visibility_key), View(export.definition, None)


def _drop(found: dict[Any, dict[str, Export]], key: Hashable, export_id: str) -> None:
    del found[key][export_id]
    if not found[key]:
        del found[key]


def _backwards(points: list[Point], before: Point | None) -> Iterator[Point]:
    stop = len(points) if before is None else bisect_left(points, before)
    return (points[index] for index in range(stop - 1, -1, -1))
