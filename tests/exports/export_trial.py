"""One case as an export in several formats, held against the database's own answer.

The answer is taken by a connection that shares nothing with sources/, and what is selected of it is
selected here. Way in: try_case, which raises AssertionError with the seed,
in a quick_folder.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw
import pytest
from apsw.ext import query_info

from encoders import columnar, spreadsheet
from exports.disk_store import DiskStore
from exports.job import Job
from exports.recording import record
from exports.spec import ExportSpec
from sources.database import QuerySource, TableSource
from sources.errors import SourceUnavailable
from sources.sqlite import rows
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.volatility import NEVER, SHAREABLE, volatility_of
from state import State
from tests.conftest import make_spec
from tests.exports.export_cases import Case, Limits, is_listed_as_it_is, make_case
from tests.exports.export_files import File, kinds_of, plain, read_file

# What a cell of XLSX holds, in UTF-16 units.
MAX_CELL = 32_767
ANY_KIND = {"integer", "real", "text", "blob"}


class Answer(NamedTuple):
    """What the database says. error: why it does not say all, None if it does."""

    names: list[str]
    rows: list[tuple[Any, ...]]
    error: Exception | None


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Make a folder in memory, where there is such: each export waits for its file to be synced."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def try_case(seed: int, folder: Path) -> None:
    """Make the case of this seed in folder, export it, and compare. Leaves nothing there."""
    database = folder / "data.db"
    try:
        case = make_case(seed)
        case.write(database)
        _Trial(case, database, folder).run()
    except Exception as error:
        raise AssertionError(f"the case of seed {seed}: {type(error).__name__}: {error}") from error
    finally:
        for path in folder.iterdir():
            path.unlink()


@contextmanager
def limited(limits: Limits | None) -> Iterator[None]:
    """Make batches small, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        if limits is not None:
            for module, names in (
                (rows, ("BATCH_ROWS", "BATCH_CELLS", "BATCH_BYTES", "LONG_BYTES", "GROWTH")),
                (columnar, ("GROUP_ROWS", "GROUP_BYTES")),
                (spreadsheet, ("CELLS_AT_ONCE",)),
            ):
                for name in names:
                    patch.setattr(module, name, getattr(limits, name.lower()))
        yield


class _Trial:
    def __init__(self, case: Case, database: Path, folder: Path) -> None:
        self._case = case
        self._database = database
        self._folder = folder
        # Not that of the case: what is drawn there does not change with the formats.
        self._rng = Random(case.seed + 1)

    def run(self) -> None:
        case = self._case
        answer = answer_of(self._database, case.sql)
        if case.table == "t" and answer.error is None:
            self._ask_another_engine(answer)
        database = SqliteDatabase(self._database)
        source = (
            TableSource("name", database, case.table) if case.table is not None
            else QuerySource("name", database, case.sql, ())
        )  # fmt: skip
        words, answer = selected(case, answer)
        try:
            spec = make_spec(source, "csv", words)
        except SourceUnavailable:
            assert isinstance(answer.error, apsw.Error), "it cannot be described"
            return
        self._check_volatility(spec)
        for extension in self._extensions():
            excel = extension.startswith(("csv", "tsv")) and self._rng.random() < 0.4
            try:
                self._export(spec, extension, excel, answer)
            except Exception as error:
                raise AssertionError(
                    f"{extension}{' for Excel' * excel} of {spec.query.sql!r} with"
                    f" {spec.query.parameters}: {type(error).__name__}: {error}"
                ) from error

    def _extensions(self) -> list[str]:
        rng = self._rng
        formats = [
            rng.choice(pair) for pair in (("csv", "tsv"), ("json", "ndjson"), ("parquet", "arrow"))
        ]
        if rng.random() < 0.15:
            formats.append("xlsx")
        return [name + rng.choice((".gz", ".zst", *[""] * 18)) for name in formats]

    def _ask_another_engine(self, answer: Answer) -> None:
        """Of the values of a table, Python's SQLite must say the same."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            rows = connection.execute(self._case.sql).fetchall()
        assert [[*map(repr, row)] for row in rows] == [[*map(repr, row)] for row in answer.rows]

    def _check_volatility(self, spec: ExportSpec) -> None:
        found = volatility_of(spec.query, str(self._case.seed))
        if self._case.volatile:
            assert found != NEVER, "it would be shared"
        elif not self._case.uses_times:
            assert found in SHAREABLE, "it would not be shared"

    def _export(self, spec: ExportSpec, extension: str, excel: bool, answer: Answer) -> None:
        target = DiskStore(self._folder, State(self._folder)).target("recorded")
        path = Path(target.address)
        path.unlink(missing_ok=True)
        query = spec.query._replace(watches_clock=True)
        said: list[dict[str, Any]] = []
        start_s = time.time()
        with limited(self._case.limits):
            record(Job("an-id", target, extension, excel, query, "name"), said.append)
        end_s = time.time()
        if self._must_fail(said[-1], extension, answer):
            return
        assert "complete" in said[-1], said[-1]
        # Nothing is written of NDJSON without rows.
        data = path.read_bytes() if path.exists() else b""
        digest, count = hashlib.sha256(data).hexdigest(), said[-1]["rows"]
        assert said[-1].items() >= {"rows": count, "bytes": len(data), "digest": digest}.items()
        case = self._case
        if (count and not case.uses_times) or case.volatile == "clock":
            assert ({"volatile": True} in said) == (case.volatile == "clock"), "of the clock"
        kinds = [ANY_KIND] * len(answer.names)
        if not case.volatile:
            cells = [*zip(*answer.rows, strict=True)] or [()] * len(answer.names)
            kinds = [kinds_of(*each) for each in zip(query.columns, cells, strict=True)]
        file = read_file(data, extension, excel, kinds)
        assert len(file.rows) == count
        if count or not extension.startswith(("json", "ndjson")):
            assert file.names == answer.names
        if case.check:
            case.check([[file.plain(cell) for cell in row] for row in file.rows], start_s, end_s)
        else:
            self._compare(file, answer, kinds)

    def _compare(self, file: File, answer: Answer, kinds: list[set[str]]) -> None:
        differs = file.differs(answer.rows)
        assert differs is None, differs
        for name, kind, possible in zip(answer.names, file.kinds or (), kinds, strict=False):
            assert kind in possible, f"{name!r} is of the kind {kind}, not of {possible}"

    def _must_fail(self, last: dict[str, Any], extension: str, answer: Answer) -> bool:
        """Check that an export fails that has to. Is it one of these?"""
        if isinstance(answer.error, UnicodeDecodeError):
            assert last.get("failed") == "cannot_encode", last
            assert f"row {len(answer.rows) + 1}: the text is not valid UTF-8" in last["message"]
        elif answer.error is not None:
            # Rows before it may have been too long for the format.
            is_too_long_before = "and a cell of xlsx" in last.get("message", "")
            assert last.get("failed") == "source_failed" or is_too_long_before, last
        elif extension.startswith("xlsx") and not self._case.volatile and is_too_long(answer):
            assert last.get("failed") == "cannot_encode", last
            assert "and a cell of xlsx holds" in last["message"]
        else:
            return False
        return True


def answer_of(database: Path, sql: str) -> Answer:
    """Ask the database itself.

    As a source is read: below another SELECT, SQLite makes reals of the integers of a UNION whose
    first column has REAL affinity, and it leaves them alone where the UNION stands by itself.
    """

    def refuse(one: str, other: str) -> int:
        raise apsw.SQLError("it is unknown")

    source = f"select * from ({sql})"
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    with closing(connection):
        connection.create_collation("LOCALIZED", refuse)
        rows: list[tuple[Any, ...]] = []
        try:
            described = query_info(connection, source).description
            for row in connection.execute(source):
                rows.append(row)
        except (apsw.Error, UnicodeDecodeError) as error:
            return Answer([], rows, error)
        return Answer([name for name, _ in described], rows, None)


def selected(case: Case, answer: Answer) -> tuple[list[tuple[str, str]], Answer]:
    """Return the selection as words of an address, and what it leaves of the answer.

    Nothing is selected of what fails: it may not fail then.
    """
    names, found, error = answer
    if error is not None:
        return [], answer
    words = [(f"{names[i]}__{operator}", str(value)) for i, operator, value in case.filters]
    found = [row for row in found if all(_holds(row[i], *each) for i, *each in case.filters)]
    for i, down in reversed(case.sort):
        found = sorted(found, key=lambda row: () if row[i] is None else (row[i],), reverse=down)
    if case.sort:
        words.append(("sort", ",".join("-" * down + names[i] for i, down in case.sort)))
    if case.limit is not None:
        words.append(("limit", str(case.limit)))
        found = found[: case.limit]
    if case.columns is not None:
        assert all(is_listed_as_it_is(names[i]) for i in case.columns)
        words.append(("columns", ",".join(names[i] for i in case.columns)))
        found = [tuple(row[i] for i in case.columns) for row in found]
        names = [names[i] for i in case.columns]
    return words, Answer(names, found, None)


def _holds(cell: Any, operator: str, value: Any) -> bool:
    if operator == "null":
        return (cell is None) == bool(value)
    if cell is None:
        return False
    one, other = (each.encode() if isinstance(each, str) else each for each in (cell, value))
    return {
        "eq": one == other, "ne": one != other, "gt": one > other, "gte": one >= other,
        "lt": one < other, "lte": one <= other,
    }[operator]  # fmt: skip


def is_too_long(answer: Answer) -> bool:
    """Is there a text that no cell of XLSX holds?"""
    cells = (
        plain(cell) or "" for row in answer.rows for cell in row if isinstance(cell, str | bytes)
    )
    return any(len(cell.encode("utf-16-le")) // 2 > MAX_CELL for cell in cells)
