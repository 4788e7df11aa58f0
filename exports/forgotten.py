"""Of which addresses there may have been exports that are not remembered any more.

Clients may have bytes of those, so nothing is added to what they have. Way in: Forgotten.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable

from exports.spec import STEM_CHARS

# A byte for each slot, so that any number of stems takes 4 MiB. Two stems in one slot only cost a
# resume: after 100,000 forgotten exports that is one in 42.
SLOTS = 1 << 22


class Forgotten:
    """See the module. note: has a stem noted for good, once."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._slots = bytearray(SLOTS)
        # The stems of what another server writes.
        self._elsewhere: set[str] = set()

    def load(self, stems: Iterable[str]) -> None:
        """Take in what was noted before."""
        for stem in stems:
            self._slots[_slot_of(stem)] = 1

    def add(self, export_id: str) -> None:
        """Add an export. Its id begins with the stem of its address."""
        stem = export_id[:STEM_CHARS]
        if not self._slots[_slot_of(stem)]:
            self._slots[_slot_of(stem)] = 1
            self._note(stem)

    def add_elsewhere(self, export_id: str) -> None:
        """Add an export that another server writes, until the next start."""
        self._elsewhere.add(export_id[:STEM_CHARS])

    def __contains__(self, address: str) -> bool:
        stem = address[:STEM_CHARS]
        return stem in self._elsewhere or bool(self._slots[_slot_of(stem)])


def _slot_of(stem: str) -> int:
    return zlib.crc32(stem.encode()) % SLOTS
