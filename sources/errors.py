"""What can go wrong with a source. Knows no HTTP: the tables in streaming/ give each its status."""

from __future__ import annotations


class SourceError(Exception):
    """The root: everything this package raises on purpose.

    SourceError
    ├── CatalogueError      headwater.toml cannot be used; lists every problem
    ├── SampleError         the sample database could not be built
    ├── BadSelection        a selection names what is not there; lists every problem
    ├── SourceUnavailable   the database cannot be asked now
    └── SourceFailed        the database stopped while its rows were read
    """


class CatalogueError(SourceError):
    """The catalogue cannot be used; `problems` has one line for each thing wrong, with its key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SampleError(SourceError):
    """The sample database could not be built; the message is one line for the operator."""


class BadSelection(SourceError):
    """The selection cannot be used; `problems` has one line for each thing wrong, with its key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class SourceUnavailable(SourceError):
    """The database of a source cannot be asked: it is not there, locked, or no database."""


class SourceFailed(SourceError):
    """The database stopped while its rows were read; the message is what it said."""
