"""The contract of a database, and of a kind of database.

A kind is a folder in sources/, a row in sources/kinds.py and one in sources/rows.py, for the
processes that record. Nothing else knows which kinds there are. A database is only read. All of it
but `kind`, `is_constant` and `str()` may wait for a disk or a network, so it is called on native
threads, several at a time. All errors are SourceErrors.
No password is in a message, in `str()` of a database or in a Query.
Way in: Database; sources.kinds has the kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from sources.columns import ColumnInfo
from sources.profile import Profile, Taken
from sources.query import Query
from sources.row_filter import RowFilter
from sources.selection import Parameter, Selection

# What can be answered without a look at all rows is looked for no longer than this; a view may
# sort or group all there is before its first row.
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

    query: ends with its last word, without a semicolon or comment, so that it can be put in
    parentheses. parameters: those of the `:name`s in it, in the order of the file. where: the
    rows that a client may see, None for all.
    """

    name: str
    database: Database
    query: str
    parameters: tuple[Parameter, ...]
    where: RowFilter | None = None


@dataclass(frozen=True)
class GeneratedSource:
    """Rows made up on the way. generate: of sources.kinds.GENERATORS."""

    name: str
    generate: str
    rows: int

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return ()

    @property
    def where(self) -> None:
        return None


# What is in a database; generated rows become a query first (sources.kinds.as_stored).
Stored = TableSource | QuerySource
Source = TableSource | QuerySource | GeneratedSource


def words_of(source: Source) -> list[Any]:
    """Return all that the catalogue says of a source, to be compared as JSON."""
    words = asdict(source)
    if not isinstance(source, GeneratedSource):
        words["database"] = str(source.database)
    return [type(source).__name__, words]


class Description(NamedTuple):
    """What a source looks like now. rows_estimate: None where only counting would tell."""

    columns: tuple[ColumnInfo, ...]
    rows_estimate: int | None


class Cell(NamedTuple):
    """A value as a preview shows it. length: of a text in characters, else None.

    value: cut when it is a long text. None for NULL, and for a blob or a very long text: then
    length is its size in bytes.
    """

    value: int | float | str | None
    length: int | None = None


class Statement(NamedTuple):
    """The text of a query in the catalogue, read.

    text: without the blanks, comments and semicolon that end it, so that it can be put in
    parentheses. parameters: the names of `:name`, in the order of their first use.
    problems: what speaks against it as the query of a source, each with what would be right.
    """

    text: str
    parameters: tuple[str, ...]
    problems: tuple[str, ...]


class Sample(Protocol):
    """The rows of a query as they are when take() is called. One call at a time, on any thread."""

    def take(self) -> Taken:
        """Copy the rows, or as many as there is time and room for; blocks for some 10 s at most.

        The database is free after that. Raises SourceFailed when it cannot be read.
        """

    def profile(self, index: int, *, is_brief: bool = False) -> Profile | None:
        """Return what a column is like, None when that takes too long; blocks for 4 s at most.

        index: of the query's columns, below sources.profile.MOST_COLUMNS. is_brief: look at a part
        of the rows. Raises SourceFailed.
        """

    def close(self) -> None:
        """Free the rows. Ends a call that runs on another thread; then that frees them."""


class Database(Protocol):
    """One database. Equal and of one hash where it is the same one; `str()` as people know it."""

    @property
    def kind(self) -> str:
        """The key of its kind in sources.kinds.KINDS."""

    @property
    def is_constant(self) -> bool:
        """Is it the same for ever, so that its fingerprint is told without waiting?"""

    def check(self, sources: Sequence[Stored]) -> list[str]:
        """Return what the catalogue says of these sources of it and it lacks, one line each.

        Each line begins with the key in the catalogue and says what would be right. A database
        that is busy is not looked at. No row is read.
        """

    def describe(self, source: Stored) -> Description:
        """Return what one of its sources looks like now. Raises SourceUnavailable.

        Of a source with a row filter, nothing is told that rows would tell.
        """

    def fingerprint(self) -> str | None:
        """Return text that is the same only while no commit has come, None when it cannot be told.

        What is described or read after this is of that state or of a later one.
        """

    def plan(
        self,
        source: Stored,
        selection: Selection,
        columns: Sequence[ColumnInfo],
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> Query:
        """Return the query for a selection of a source. columns: all of the source's.

        attributes: those of the client, for the source's row filter, which is below all that is
        selected. What comes from the client is bound, never a part of the statement.
        Raises MissingAttribute.
        """

    def count_at_most(
        self, source: Stored, query: Query, most: int, limit_s: float = LOOK_S
    ) -> int | None:
        """Return how many rows a query of the source has, at most `most`: no more are read.

        None when it takes longer than limit_s to tell. Raises SourceUnavailable.
        """

    def preview(self, query: Query, most: int, limit_s: float = LOOK_S) -> list[list[Cell]] | None:
        """Return the first rows of a query, at most `most`; None if that takes too long.

        Raises SourceUnavailable.
        """

    def sample(self, query: Query, most_s: float) -> Sample:
        """Return a sample of the rows, not taken yet. most_s: for each of its statements."""


class Kind(NamedTuple):
    """A kind of database: what is known without asking one.

    read_address: takes what follows `scheme://` in the catalogue and the folder that paths are
    relative to; returns the database, and what is wrong with the address or None.
    read_statement, read_filter: take the SQL at `query` and `where`; the latter returns what is
    wrong, too. database_at: takes Query.database.
    break_off_late: ends statements of requests whose time is over; called again and again.
    """

    read_address: Callable[[str, Path], tuple[Database, str | None]]
    read_statement: Callable[[str], Statement]
    read_filter: Callable[[str], tuple[RowFilter, list[str]]]
    database_at: Callable[[str], Database]
    break_off_late: Callable[[], None]
