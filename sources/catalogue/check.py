"""Checks that everything in the catalogue exists, with I/O. Way in: check_catalogue."""

from __future__ import annotations

from sources.catalogue.catalogue import Catalogue
from sources.catalogue.folders import check_folders
from sources.catalogue.logs import check_logs
from sources.database import Database, GeneratedSource, Stored


def check_catalogue(catalogue: Catalogue) -> list[str]:
    """Return a line for each thing that the catalogue names and that does not exist; [] if none.

    Blocks for databases and disks; each database is queried once.
    """
    databases: dict[Database, list[Stored]] = {}
    for source in catalogue.sources.values():
        if not isinstance(source, GeneratedSource):
            databases.setdefault(source.database, []).append(source)
    problems = [p for database, used in databases.items() for p in database.check(used)]
    return problems + check_folders(catalogue.folders) + check_logs(catalogue.logs)
