"""The sources and folders of the catalogue, by their names in requests.

Way in: SourceLookup.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from auth import NativeThreads
from exports.definitions import Definitions
from exports.spec import ExportSpec
from exports.spec_reader import SpecReader
from sources.database import NO_ATTRIBUTES, Source
from sources.folders.folder import Folder
from sources.kinds import as_stored
from streaming.errors import unknown
from streaming.files import folder_named
from streaming.inquiries import Inquiries
from wire.formats import TARBALL

Found = TypeVar("Found")


class SourceLookup:
    """See the module. definitions: of all of them. inquiries: query their databases.

    threads: run functions that may wait for a disk or a database's lock. sees: whether the client
    may know the name of a source. statement_s: the longest time of a statement for which a request
    waits.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        folders: Mapping[str, Folder],
        threads: NativeThreads,
        sees: Callable[[str], bool] = lambda name: True,
        statement_s: float = math.inf,
    ) -> None:
        self._sources = sources
        self._folders = folders
        self._sees = sees
        self.definitions = Definitions(sources, folders)
        self.inquiries = Inquiries(threads, statement_s)
        self._specs = SpecReader(
            self.definitions, self.inquiries, threads.descriptions, threads.files
        )

    def names(self) -> list[str]:
        """Return the names of all sources, in the catalogue's order."""
        return list(self._sources)

    def source(self, name: str) -> Source:
        """Return the source with this name. Raises Refusal (404)."""
        source = self._sources.get(name)
        if source is None:
            raise unknown("source", name, list(filter(self._sees, self._sources)))
        return source

    def ask(self, name: str, work: Callable[[float], Found]) -> Found:
        """Return the result of work, a short query of the database of the source `name`.

        work: is called with the seconds that each of its statements may take. Raises the errors of
        work, and SourceUnavailable if it has not answered in time.
        """
        return self.inquiries.ask(as_stored(self.source(name)), work)

    def read_spec(
        self,
        name: str,
        extension: str,
        parameters: Iterable[tuple[str, str]],
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> ExportSpec:
        """Return the spec for the source or folder `name` as `extension`.

        parameters: (key, value) as in a query string. attributes: of the principal, for the
        source's filter. Raises Refusal (404) and what SpecReader raises.
        """
        if extension == TARBALL.extension:
            return self._specs.read_folder(folder_named(self._folders, name), parameters)
        return self._specs.read(self.source(name), extension, parameters, attributes)
