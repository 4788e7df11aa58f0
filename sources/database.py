"""The contract of a database, and of a kind of database.

A kind is a folder in sources/, a row in sources/kinds.py and one in sources/rows.py, for the
recording processes. Nothing else knows the kinds. A database is only read. All of it except `kind`,
`is_constant` and `str()` may wait for a disk or a network, so it is called on native threads,
several at a time. All errors are SourceErrors.
Messages, `str()` of a database and Queries contain no password.
Way in: Database; sources.kinds has the kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from sources.columns import ColumnInfo
from sources.profile import Profile, SampleInfo
from sources.query import Query
from sources.row_filter import RowFilter
from sources.selection import Parameter, Selection

# The limit of statements that should not read all rows; a view may sort or group all of them before
# its first row.
LOOK_S = 2.0

# The attributes of a client that has none.
NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class TableSource:
    """A table or view of a database. where: the rows that a client may see, None for all."""

    name: str
    database: Database
    table: str
    where: RowFilter | None = None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return ()


@dataclass(frozen=True)
class QuerySource:
    """One SELECT or WITH over a database.

    query: without a semicolon or comment at its end, so that it can be put in parentheses.
    parameters: of the `:name`s in it, in the order of the file. where: the rows that a client may
    see, None for all.
    """

    name: str
    database: Database
    query: str
    parameters: tuple[Parameter, ...]
    where: RowFilter | None = None


@dataclass(frozen=True)
class GeneratedSource:
    """Generated rows. generate: of sources.kinds.GENERATORS."""

    name: str
    generate: str
    rows: int

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return ()

    @property
    def where(self) -> None:
        return None


# Sources in a database; generated rows become a query first (sources.kinds.as_stored).
Stored = TableSource | QuerySource
Source = TableSource | QuerySource | GeneratedSource


def definition_of(source: Source) -> list[Any]:
    """Return the catalogue's definition of a source, to be compared as JSON."""
    fields = asdict(source)
    if not isinstance(source, GeneratedSource):
        fields["database"] = str(source.database)
    return [type(source).__name__, fields]


class Description(NamedTuple):
    """The columns of a source. rows_estimate: None where it would need a count."""

    columns: tuple[ColumnInfo, ...]
    rows_estimate: int | None


class PreviewCell(NamedTuple):
    """A value in a preview. length: of a text in characters, else None.

    value: cut when it is a long text. None for NULL, and for a blob or a very long text: then
    length is its size in bytes.
    """

    value: int | float | str | None
    length: int | None = None


class Statement(NamedTuple):
    """A query of the catalogue, parsed.

    text: without blanks, comments and a semicolon at its end, so that it can be put in
    parentheses. parameters: the names of `:name`, in the order of their first use.
    problems: why it cannot be the query of a source, each with what would be right.
    """

    text: str
    parameters: tuple[str, ...]
    problems: tuple[str, ...]


class RowSample(Protocol):
    """The rows of a query at the moment of take(). One call at a time, on any thread."""

    def take(self) -> SampleInfo:
        """Copy the rows, or as many as there is time and room for; blocks for some 10 s at most.

        The database is not read after that. Raises SourceFailed when it cannot be read.
        """

    def profile(self, index: int, *, is_brief: bool = False) -> Profile | None:
        """Return the profile of a column, None when it takes too long; blocks for 4 s at most.

        index: of the query's columns, below sources.profile.MOST_COLUMNS. is_brief: look at a part
        of the rows. Raises SourceFailed.
        """

    def close(self) -> None:
        """Free the rows. Interrupts a call on another thread, which then frees them."""


class Database(Protocol):
    """One database. Objects of the same one are equal and hashable; `str()` is for people."""

    @property
    def kind(self) -> str:
        """The key of its kind in sources.kinds.KINDS."""

    @property
    def is_constant(self) -> bool:
        """Does it never change, so that its fingerprint is known without waiting?"""

    def check(self, sources: Sequence[Stored]) -> list[str]:
        """Return the problems of these sources, one line each: what they name and it lacks.

        Each line begins with the key in the catalogue and says what would be right. A busy database
        is not checked. No row is read.
        """

    def describe(self, source: Stored) -> Description:
        """Return the description of one of its sources now. Raises SourceUnavailable.

        With a row filter, it reveals nothing about the rows.
        """

    def fingerprint(self) -> str | None:
        """Return text that changes with every commit, None when that cannot be known.

        Whatever is described or read after this is of that state or of a later one.
        """

    def plan(
        self,
        source: Stored,
        selection: Selection,
        columns: Sequence[ColumnInfo],
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> Query:
        """Return the query for a selection of a source. columns: all of the source's.

        attributes: of the client, for the source's row filter, which is applied before the
        selection. Values of the client are bound, never a part of the statement.
        Raises MissingAttribute.
        """

    def count_at_most(
        self, source: Stored, query: Query, most: int, limit_s: float = LOOK_S
    ) -> int | None:
        """Return the number of rows of a query of the source, at most `most`: no more are read.

        None when it takes longer than limit_s. Raises SourceUnavailable.
        """

    def preview(
        self, query: Query, most: int, limit_s: float = LOOK_S
    ) -> list[list[PreviewCell]] | None:
        """Return the first rows of a query, at most `most`; None if that takes too long.

        Raises SourceUnavailable.
        """

    def sample(self, query: Query, most_s: float) -> RowSample:
        """Return a sample of the rows, not taken yet. most_s: the limit of each statement."""


class DatabaseKind(NamedTuple):
    """A kind of database: the functions that need none.

    read_address: takes the text after `scheme://` in the catalogue and the folder that paths are
    relative to; returns the database, and the problem with the address or None.
    read_statement, read_filter: take the SQL at `query` and `where`; the latter also returns the
    problems. database_at: takes Query.database.
    interrupt_overdue: interrupts overdue statements of requests; called periodically.
    """

    read_address: Callable[[str, Path], tuple[Database, str | None]]
    read_statement: Callable[[str], Statement]
    read_filter: Callable[[str], tuple[RowFilter, list[str]]]
    database_at: Callable[[str], Database]
    interrupt_overdue: Callable[[], None]
