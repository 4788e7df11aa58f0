"""How the catalogue defines what exports are of, and which principals see the same rows of it.

Way in: Definitions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sources.database import Source, definition_of
from sources.errors import MissingAttribute
from sources.folders.folder import Folder
from wire.formats import TARBALL


class Definitions:
    """See the module. sources, folders: those of the catalogue, by name.

    of_sources, of_folders: the definition of each, a digest of all that the catalogue says of it.
    """

    def __init__(self, sources: Mapping[str, Source], folders: Mapping[str, Folder]) -> None:
        self._sources = sources
        self.of_sources = {name: _digest(definition_of(source)) for name, source in sources.items()}
        self.of_folders = {
            name: _digest(["Folder", name, folder.path, folder.hidden])
            for name, folder in folders.items()
        }

    def all(self) -> Iterator[tuple[str, str, bool]]:
        """Yield each source and folder: its name, its definition, and whether it is a folder."""
        for name, definition in self.of_sources.items():
            yield name, definition, False
        for name, definition in self.of_folders.items():
            yield name, definition, True

    def of(self, name: str, extension: str) -> str | None:
        """Return the definition of what an export is of, None where there is none any more.

        Exports of another definition are nobody's.
        """
        is_folder = extension == TARBALL.extension
        return (self.of_folders if is_folder else self.of_sources).get(name)

    def visibility_key(self, source_name: str, attributes: Mapping[str, str]) -> str | None:
        """Return the visibility key of a principal with these attributes, for this source.

        "" where everybody sees the same, as of a folder; None where no export of it may be seen:
        there is no such source any more, or an attribute is missing.
        """
        source = self._sources.get(source_name)
        if source is None:
            return "" if source_name in self.of_folders else None
        try:
            return visibility_key(source, attributes)
        except MissingAttribute:
            return None


def visibility_key(source: Source, attributes: Mapping[str, str]) -> str:
    """Return text that is the same for all who see the same rows. Raises MissingAttribute."""
    return source.where.visibility_key(source.name, attributes) if source.where else ""


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()
