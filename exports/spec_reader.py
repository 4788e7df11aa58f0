"""A request as an export spec: its query parameters checked against what the source has.

Way in: SpecReader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from exports.definitions import Definitions, visibility_key
from exports.errors import TooManyColumns, TooManyRows, UnknownFormat
from exports.spec import ExportSpec
from journal import RunNative
from sources.database import NO_ATTRIBUTES, Description, Source, Stored
from sources.errors import BadSelection, SourceBusy
from sources.folders.folder import Folder
from sources.folders.snapshots import take_snapshot
from sources.folders.tree import Tree
from sources.kinds import as_stored
from sources.query import Query
from sources.selection import Selection, parse_selection
from wire.formats import EXTENSIONS, FORMATS, TARBALL, FileFormat, parse_extension

# As long as a URL may be; every list of exports repeats it.
MAX_SELECTION_CHARS = 8190

_NO_FORMAT = "the format is missing: it is what the address ends with, as in .csv"

# The formats that `excel` is for.
DELIMITED = ("csv", "tsv")

Found = TypeVar("Found")


class Databases(Protocol):
    """What databases are asked for a request, which waits for a bounded time."""

    def describe(self, source: Source) -> Description:
        """Return what a source looks like now. Raises SourceUnavailable."""

    def ask(self, source: Stored, work: Callable[[float], Found]) -> Found:
        """Return what work says, which is called with the seconds that a statement may take.

        Raises what work raises, and SourceBusy when it could not begin.
        """


class SpecReader:
    """Reads the specs of sources and folders.

    run_plan, run_files: run what may wait for a database or for a folder's disk.
    """

    def __init__(
        self,
        definitions: Definitions,
        databases: Databases,
        run_plan: RunNative,
        run_files: RunNative,
    ) -> None:
        self._definitions = definitions
        self._databases = databases
        self._run_plan = run_plan
        self._run_files = run_files

    def read(
        self,
        source: Source,
        extension: str,
        parameters: Iterable[tuple[str, str]],
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> ExportSpec:
        """Return the spec for a source as `extension`.

        parameters: (key, value) as in a query string. attributes: of the principal, for the
        source's filter. Raises UnknownFormat, BadSelection, MissingAttribute, SourceUnavailable,
        TooManyColumns or TooManyRows, each saying what would be right.
        """
        file_format = file_format_of(extension)
        stored = as_stored(source)
        key = visibility_key(source, attributes)
        description = self._databases.describe(source)
        selection = parse_selection(parameters, description.columns, source.parameters)
        if selection.excel and file_format.format.name not in DELIMITED:
            raise BadSelection([f"excel: is for csv and tsv; {file_format.format.name} needs none"])
        if len(selection.canonical()) > MAX_SELECTION_CHARS:
            raise BadSelection([f"the selection: it may have {MAX_SELECTION_CHARS} characters"])
        # 2,000 columns become SQL in 60 ms.
        query = self._run_plan(
            partial(stored.database.plan, stored, selection, description.columns, attributes)
        )
        self._check_it_fits(stored, file_format, query)
        return ExportSpec(
            source=source.name,
            extension=extension,
            selection=selection.canonical(),
            excel=selection.excel,
            query=query,
            rows_estimate=_rows_estimate(description, selection),
            fingerprint=self._fingerprint_of(stored) if query.is_shareable else lambda: None,
            visibility_key=key,
            definition=self._definitions.of_sources[source.name],
        )

    def read_folder(self, folder: Folder, parameters: Iterable[tuple[str, str]]) -> ExportSpec:
        """Return the spec for a folder as a tarball. Raises BadSelection or FolderError."""
        if problems := [
            f"{key}: a folder is downloaded as a whole, without parameters" for key, _ in parameters
        ]:
            raise BadSelection(problems)
        snapshot = self._run_files(partial(take_snapshot, folder))
        digest = self._run_files(snapshot.digest)
        return ExportSpec(
            source=folder.name,
            extension=TARBALL.extension,
            selection="",
            excel=False,
            query=Tree(
                folder.name,
                str(folder.path),
                folder.hidden,
                digest,
                # Recording processes have another working folder.
                str(folder.instance.absolute()) if folder.instance else "",
            ),
            rows_estimate=len(snapshot.files),
            fingerprint=lambda: digest if snapshot.is_settled else None,
            definition=self._definitions.of_folders[folder.name],
        )

    def _fingerprint_of(self, source: Stored) -> Callable[[], str | None]:
        # It may look at files, whose disk may be gone.
        return lambda: self._run_plan(source.database.fingerprint)

    def _check_it_fits(self, source: Stored, file_format: FileFormat, query: Query) -> None:
        name, _, _, max_rows, max_columns = file_format.format
        roomy = [f.name for f in FORMATS.values() if f.max_rows is None and f.max_columns is None]
        detail: dict[str, Any] = {"formats": roomy}
        if max_columns is not None and len(query.columns) > max_columns:
            message = f"{len(query.columns)} columns: {name} holds at most {max_columns}"
            raise TooManyColumns(f"{message}; choose {_or(roomy)}", detail)
        if max_rows is not None:
            asked = partial(source.database.count_at_most, source, query, max_rows + 1)
            count = None
            # The recording finds out, too.
            with suppress(SourceBusy):
                count = self._databases.ask(source, asked)
            if count is not None and count > max_rows:
                message = f"more than {max_rows} rows: {name} holds no more; choose {_or(roomy)}"
                raise TooManyRows(message, {**detail, "max_rows": max_rows})


def file_format_of(extension: str) -> FileFormat:
    """Return the format and compression that an extension names. Raises UnknownFormat."""
    file_format = parse_extension(extension)
    if file_format is None:
        wrong = f"there is no format {extension[:100]!a}" if extension else _NO_FORMAT
        message = f"{wrong}; there are " + ", ".join(FORMATS)
        message += ", each also with .gz or .zst"
        raise UnknownFormat(message, {"formats": list(EXTENSIONS)})
    return file_format


def _or(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]


def _rows_estimate(description: Description, selection: Selection) -> int | None:
    estimate = None if selection.filters else description.rows_estimate
    if selection.limit is None or estimate is None:
        return estimate
    return min(estimate, selection.limit)
