"""What sources look like, each asked again only when its database has changed.

A database is asked in about a millisecond, several for a list of sources; whether it has changed
is told by two looks at its files. Way in: Descriptions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sources.catalogue.catalogue import GeneratedSource, Source
from sources.sqlite.connections import IN_MEMORY
from sources.sqlite.fingerprint import database_fingerprint
from sources.sqlite.generated import as_query
from sources.sqlite.tables import Description, Stored, describe


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
        fingerprint = fingerprint_of(stored)()
        known = self.known(source, fingerprint)
        if known is not None:
            return known
        description = describe(stored)
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


def as_stored(source: Source) -> Stored:
    """Return the source as one that a database has; generated rows become a query."""
    return as_query(source) if isinstance(source, GeneratedSource) else source


def fingerprint_of(source: Stored) -> Callable[[], str | None]:
    """Return the function that says in what state the data is; None when that cannot be told."""
    if source.database == IN_MEMORY:
        return lambda: "always the same"
    return partial(database_fingerprint, source.database)
