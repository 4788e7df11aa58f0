"""A folder to be packed whole, as plain data for a recording process."""

from __future__ import annotations

from typing import Any, NamedTuple


class Tree(NamedTuple):
    """A whole folder. hidden: as of a Folder. digest: of what was in it when asked for."""

    name: str
    path: str
    hidden: bool
    digest: str

    def identity(self) -> list[Any]:
        """Return what is the same for the same folder."""
        return [self.path, self.hidden]
