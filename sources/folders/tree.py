"""A folder to be packed, as plain data for a recording process."""

from __future__ import annotations

from typing import Any, NamedTuple


class Tree(NamedTuple):
    """A folder. hidden: as in Folder. digest: of its snapshot at the request.

    instance: the folder with the server's own files, "" for none.
    """

    name: str
    path: str
    hidden: bool
    digest: str
    instance: str = ""

    def identity(self) -> list[Any]:
        """Return a value that is equal for the same folder."""
        return [self.path, self.hidden]
