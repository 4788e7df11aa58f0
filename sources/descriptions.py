"""A cache of the descriptions of sources, by the fingerprint of their database.

A description takes about a millisecond, and a list of sources needs several; a fingerprint takes
two calls of stat. Way in: Descriptions.
"""

from __future__ import annotations

from sources.database import Description, GeneratedSource, Source
from sources.kinds import as_stored


class Descriptions:
    """For the sources of one catalogue, which have different names. For any thread."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str | None, Description]] = {}

    def of(self, source: Source) -> Description:
        """Return the description of a source.

        Raises SourceUnavailable. May wait for a lock or a disk.
        """
        stored = as_stored(source)
        # Before describe: a commit in between changes the fingerprint.
        fingerprint = stored.database.fingerprint()
        known = self.known(source, fingerprint)
        if known is not None:
            return known
        description = stored.database.describe(stored)
        if isinstance(source, GeneratedSource):
            description = description._replace(rows_estimate=source.rows)
        self._known[source.name] = fingerprint, description
        return description

    def known(self, source: Source, fingerprint: str | None) -> Description | None:
        """Return the description with this fingerprint, None if there is none. Never waits."""
        then, description = self._known.get(source.name, (None, None))
        return description if then is not None and then == fingerprint else None

    def last(self, source: Source) -> Description | None:
        """Return the last description of a source, None if there is none."""
        _, description = self._known.get(source.name, (None, None))
        return description
