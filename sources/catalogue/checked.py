"""The catalogue as the server starts with it, with all its problems. Way in: checked_catalogue."""

from __future__ import annotations

from pathlib import Path

from sources.catalogue.catalogue import Catalogue, load_catalogue, sample_catalogue
from sources.catalogue.check import check_catalogue
from sources.errors import CatalogueError
from sources.own_files import is_above, is_own_file


def checked_catalogue(path: Path | None, instance: Path) -> Catalogue:
    """Return the catalogue in the file at path, or the sample's for None.

    instance: the folder of the sample and of the server's state. Raises CatalogueError with all
    problems. Blocks for databases and disks.
    """
    catalogue = _sample_in(instance) if path is None else load_catalogue(path)
    # The state first, since the check of a database opens it.
    if problems := _check_apart(catalogue, instance) or check_catalogue(catalogue):
        raise CatalogueError(problems)
    return catalogue


def _sample_in(instance: Path) -> Catalogue:
    """Return the sample's catalogue; create its folders, and the folder of its logs."""
    catalogue = sample_catalogue(instance)
    # A command may be the first caller, and mkdir does not give parents this mode.
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in catalogue.folders.values():
        folder.path.mkdir(parents=True, exist_ok=True)
    for log in catalogue.logs.values():
        log.path.parent.mkdir(parents=True, exist_ok=True)
    return catalogue


def _check_apart(catalogue: Catalogue, instance: Path) -> list[str]:
    """Return the entries that would serve the server's own files; see sources/own_files.py."""
    databases = {
        name: Path(str(source.database))
        for name, source in catalogue.sources.items()
        if hasattr(source, "database")
    }
    return [
        *(
            f"folders.{name}.path: it holds the instance folder, where the keys and the state are"
            for name, folder in catalogue.folders.items()
            if is_above(folder.path, instance)
        ),
        *(
            f"sources.{name}.database: it is the state of this server"
            for name, database in databases.items()
            if is_own_file(database, instance)
        ),
        *(
            f"logs.{name}.path: it is a file of this server, in its instance folder"
            for name, log in catalogue.logs.items()
            if is_own_file(log.path, instance)
        ),
    ]
