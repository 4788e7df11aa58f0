"""What sources look like, each asked again only when its database has changed.

A database is asked in about a millisecond, several for a list of sources; whether it has changed
is told by two looks at its files. Way in: Descriptions.
"""

from __future__ import annotations

from sources.database import Description, GeneratedSource, Source
from sources.kinds import as_stored


class Descriptions:
    """Of the sources of one catalogue, which have different names. May be asked by any thread."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str | None, Description]] = {}

    def of(self, source: Source) -> Description:
        """Return what a source looks like now.

        Raises SourceUnavailable. May wait for a lock or a disk.
        """
        stored = as_stored(source)
        # Before the database is asked: what is committed meanwhile makes another one.
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
        """Return what is known to be so in the state that fingerprint says, which never waits."""
        then, description = self._known.get(source.name, (None, None))
        return description if then is not None and then == fingerprint else None

    def last(self, source: Source) -> Description | None:
        """Return what a source looked like when its database answered last, None if never."""
        _, description = self._known.get(source.name, (None, None))
        return description
