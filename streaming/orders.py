"""A request as an order: the words of a URL or of a form checked against what the source has.

Way in: Orders.read.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from auth import NativeThreads
from exports.spec import ExportSpec
from sources.catalogue.catalogue import Catalogue
from sources.database import (
    NO_ATTRIBUTES,
    Description,
    Source,
    Stored,
    words_of,
)
from sources.errors import BadSelection, MissingAttribute, SourceBusy, SourceUnavailable
from sources.folders.folder import Folder
from sources.folders.snapshots import take_snapshot
from sources.folders.tree import Tree
from sources.kinds import as_stored
from sources.query import Query
from sources.selection import Selection, parse_selection
from streaming.errors import Refusal, unknown
from streaming.files import folder_named
from streaming.inquiries import Inquiries, Late
from wire.formats import EXTENSIONS, FORMATS, TARBALL, FileType, parse_extension

# As long as a URL may be; every list of exports repeats it.
MAX_SELECTION_CHARS = 8190

_NO_FORMAT = "the format is missing: it is what the address ends with, as in .csv"

# The formats that `excel` is for.
DELIMITED = ("csv", "tsv")

Found = TypeVar("Found")


class Orders:
    """Reads orders for the sources of a catalogue, and for its folders.

    threads: run what may wait for a disk or a database's lock. sees: whether the name of a source
    may be told to the asker. statement_s: how long any statement may take that a request waits for.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        folders: Mapping[str, Folder],
        threads: NativeThreads,
        sees: Callable[[str], bool] = lambda name: True,
        statement_s: float = math.inf,
    ) -> None:
        self._catalogue = catalogue
        self._folders = folders
        self._threads = threads
        self._sees = sees
        self._inquiries = Inquiries(threads, statement_s)
        self._definitions = {
            name: _definition(words_of(source)) for name, source in catalogue.sources.items()
        }
        self._folder_definitions = {
            name: _definition(["Folder", name, folder.path, folder.hidden])
            for name, folder in folders.items()
        }

    def names(self) -> list[str]:
        """Return the names of all sources, in the catalogue's order."""
        return list(self._catalogue.sources)

    def source(self, name: str) -> Source:
        """Return the source with this name. Raises Refusal (404)."""
        source = self._catalogue.sources.get(name)
        if source is None:
            raise unknown("source", name, list(filter(self._sees, self.names())))
        return source

    def describe(self, source: Source) -> Description:
        """Return what a source looks like now. Raises SourceUnavailable."""
        return self._inquiries.describe(source)

    def describe_all(
        self, sources: Sequence[Source]
    ) -> list[Description | SourceUnavailable | Late]:
        """Return what each source looks like now, or why that cannot be told, within 2 s."""
        return self._inquiries.describe_all(sources)

    def ask(self, name: str, work: Callable[[float], Found]) -> Found:
        """Return what work says, which asks the database of the source `name` for a moment.

        work: is called with the seconds that each of its statements may take.
        Raises what work raises, and SourceUnavailable when it has not answered in time.
        """
        return self._inquiries.ask(as_stored(self.source(name)), work)

    def file_type(self, extension: str) -> FileType:
        """Return the format that an extension names. Raises Refusal (404)."""
        file_type = parse_extension(extension)
        if file_type is None:
            wrong = f"there is no format {extension[:100]!a}" if extension else _NO_FORMAT
            message = f"{wrong}; there are " + ", ".join(FORMATS)
            message += ", each also with .gz or .zst"
            raise Refusal(404, "unknown_format", message, {"formats": list(EXTENSIONS)})
        return file_type

    def read(
        self,
        name: str,
        extension: str,
        words: Iterable[tuple[str, str]],
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> ExportSpec:
        """Return the order for the source `name` as `extension`.

        words: (key, value) as in a query string. attributes: of who asks, for the source's filter.
        Raises Refusal, BadSelection, MissingAttribute, SourceUnavailable or FolderError, each
        saying what would be right.
        """
        if extension == TARBALL.extension:
            return self._read_folder(folder_named(self._folders, name), words)
        source = self.source(name)
        file_type = self.file_type(extension)
        stored = as_stored(source)
        visibility_key = _visibility_key(source, attributes)
        description = self.describe(source)
        selection = parse_selection(words, description.columns, source.parameters)
        if selection.excel and file_type.format.name not in DELIMITED:
            raise BadSelection([f"excel: is for csv and tsv; {file_type.format.name} needs none"])
        if len(selection.canonical()) > MAX_SELECTION_CHARS:
            raise BadSelection([f"the selection: at most {MAX_SELECTION_CHARS} characters are due"])
        # 2,000 columns become SQL in 60 ms.
        query = self._threads.descriptions(
            partial(stored.database.plan, stored, selection, description.columns, attributes)
        )
        self._check_it_fits(stored, file_type, query)
        return ExportSpec(
            source=name,
            extension=extension,
            selection=selection.canonical(),
            excel=selection.excel,
            query=query,
            rows_estimate=_rows_estimate(description, selection),
            fingerprint=self._fingerprint_of(stored) if query.is_shareable else lambda: None,
            visibility_key=visibility_key,
            definition=self._definitions[name],
        )

    def definitions(self) -> Iterator[tuple[str, str, bool]]:
        """Yield each source and folder: its name, its definition, and whether it is a folder."""
        for name, definition in self._definitions.items():
            yield name, definition, False
        for name, definition in self._folder_definitions.items():
            yield name, definition, True

    def definition_of(self, name: str, extension: str) -> str | None:
        """Return how the catalogue defines what an export is of: a digest of all that it says.

        None where it does not name that any more. Exports of another definition are nobody's.
        """
        is_folder = extension == TARBALL.extension
        return (self._folder_definitions if is_folder else self._definitions).get(name)

    def visibility_key_of(self, source_name: str, attributes: Mapping[str, str]) -> str | None:
        """Return the visibility_key that a principal with these attributes is of, for this source.

        "" where everybody sees the same, as of a folder; None where no export of it may be seen:
        there is no such source any more, or an attribute is missing.
        """
        source = self._catalogue.sources.get(source_name)
        if source is None:
            return "" if source_name in self._folders else None
        try:
            return _visibility_key(source, attributes)
        except MissingAttribute:
            return None

    def _fingerprint_of(self, source: Stored) -> Callable[[], str | None]:
        # It may look at files, whose disk may be gone.
        return lambda: self._threads.descriptions(source.database.fingerprint)

    def _read_folder(self, folder: Folder, words: Iterable[tuple[str, str]]) -> ExportSpec:
        if problems := [f"{key}: a folder is had whole" for key, _ in words]:
            raise BadSelection(problems)
        snapshot = self._threads.files(partial(take_snapshot, folder))
        digest = self._threads.files(snapshot.digest)
        return ExportSpec(
            source=folder.name,
            extension=TARBALL.extension,
            selection="",
            excel=False,
            query=Tree(folder.name, str(folder.path), folder.hidden, digest),
            rows_estimate=len(snapshot.files),
            fingerprint=lambda: digest if snapshot.is_settled else None,
            definition=self._folder_definitions[folder.name],
        )

    def _check_it_fits(self, source: Stored, file_type: FileType, query: Query) -> None:
        name, _, _, max_rows, max_columns = file_type.format
        roomy = [f.name for f in FORMATS.values() if f.max_rows is None and f.max_columns is None]
        detail = {"formats": roomy}
        if max_columns is not None and len(query.columns) > max_columns:
            message = f"{len(query.columns)} columns: {name} holds at most {max_columns}"
            raise Refusal(422, "too_many_columns", f"{message}; choose {_or(roomy)}", detail)
        if max_rows is not None:
            asked = partial(source.database.count_at_most, source, query, max_rows + 1)
            count = None
            # The recording finds out, too.
            with suppress(SourceBusy):
                count = self._inquiries.ask(source, asked)
            if count is not None and count > max_rows:
                message = f"more than {max_rows} rows: {name} holds no more; choose {_or(roomy)}"
                raise Refusal(422, "too_many_rows", message, {**detail, "max_rows": max_rows})


def _or(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]


def _definition(words: list[Any]) -> str:
    return hashlib.sha256(json.dumps(words, default=str).encode()).hexdigest()


def _visibility_key(source: Source, attributes: Mapping[str, str]) -> str:
    return source.where.visibility_key(source.name, attributes) if source.where else ""


def _rows_estimate(description: Description, selection: Selection) -> int | None:
    estimate = None if selection.filters else description.rows_estimate
    if selection.limit is None or estimate is None:
        return estimate
    return min(estimate, selection.limit)
