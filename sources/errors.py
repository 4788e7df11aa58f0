"""What can go wrong with a source. Knows no HTTP: auth/answers.py gives each error its status."""

from __future__ import annotations

from collections.abc import Sequence


class SourceError(Exception):
    """Any error of this package.

    SourceError
    ├── CatalogueError      headwater.toml cannot be used; lists every problem
    ├── SampleError         the sample database could not be built
    ├── BadSelection        a selection that cannot be used; lists every problem
    ├── MissingAttribute    a row filter needs an attribute that the client does not have
    ├── SourceUnavailable   the database cannot be read now
    │   ├── SourceLocked    a writer has kept its lock for too long
    │   └── SourceBusy      the statement has waited for too long behind others
    ├── SourceFailed        the database stopped while its rows were read
    └── FolderError         something of a folder that cannot be served
        ├── MalformedPath   a path that no file of a folder can have
        ├── FolderGone      the folder itself is missing now; a SourceUnavailable, too
        ├── NoSuchFile      nothing is there, or nothing that is served
        ├── IsAFolder       a folder where a file was asked for
        ├── IsAFile         a file where a folder was asked for
        ├── Unreadable      a file that the server may not read
        ├── FileChanged     a file has changed since its entity tag was sent or its archive began
        └── TooManyFiles    a folder that is too large for one archive
    """


class CatalogueError(SourceError):
    """The catalogue cannot be used; `problems` has one line for each problem, with its key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SampleError(SourceError):
    """The sample database could not be built; the message is one line for the operator."""


class BadSelection(SourceError):
    """The selection cannot be used; `problems` has one line for each problem, with its key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class MissingAttribute(SourceError):
    """A source shows rows by attributes that the client does not have. names: of those."""

    def __init__(self, source: str, names: Sequence[str]) -> None:
        given = " ".join(f"--attribute {name}=…" for name in names)
        super().__init__(
            f"{source} shows each principal rows of its own, by {' and '.join(names)}, which yours"
            f" does not have; make a token that has it: tokens add … {given}"
        )
        self.names = tuple(names)


class SourceUnavailable(SourceError):
    """The database of a source cannot be read: it is missing, locked, or no database."""


class SourceLocked(SourceUnavailable):
    """A writer has kept the lock of the database for longer than a reader waits."""


class SourceBusy(SourceUnavailable):
    """The statement has waited for too long to begin."""


class SourceFailed(SourceError):
    """The database stopped while its rows were read; the message is the database's."""


class FolderError(SourceError):
    """Something of a folder cannot be served; the message names no path outside of it."""


class MalformedPath(FolderError):
    """A path that no file of a folder can have."""


class FolderGone(FolderError, SourceUnavailable):
    """The folder that the catalogue names is missing now, as a disk that is not mounted."""


class NoSuchFile(FolderError):
    """Nothing is there, or a device, a hidden file, a link that leads out."""


class IsAFolder(FolderError):
    """A folder where a file was asked for."""


class IsAFile(FolderError):
    """A file where a folder was asked for."""


class Unreadable(FolderError):
    """The server may not read the file."""


class FileChanged(FolderError):
    """A file has changed since its entity tag was sent or its archive began."""


class TooManyFiles(FolderError):
    """A folder that is too large for one archive."""
