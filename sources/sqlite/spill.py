"""Rows with one type per column, for typed formats.

The rows are read once, into a file without a name, and the transaction ends; then the type of each
column is known, and the rows are read back in these types. Way in: spill_rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from encoders import Column
from encoders.contract import MEMBERS
from sources.columns import ColumnInfo
from sources.sqlite.column_types import kind_of
from sources.sqlite.typed_values import candidates_of

# Integers up to here are exact as a real.
EXACT = 2**53


# Converts an array to the type of its column.
Convert = Callable[[pa.Array], pa.Array]


class Spill:
    """Rows on the disk. Iterate over their batches, then close it. columns: of the batches."""

    def __init__(self, file: IO[bytes], streams: int, typed: list[tuple[Column, Convert]]) -> None:
        self.columns = [column for column, _ in typed]
        self._converts = [convert for _, convert in typed]
        self._file = file
        self._streams = streams

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self._file.seek(0)
        names = [column.name for column in self.columns]
        for _ in range(self._streams):
            for batch in pa.ipc.open_stream(self._file):
                pairs = zip(batch.columns, self._converts, strict=True)
                arrays = [convert(array) for array, convert in pairs]
                yield pa.RecordBatch.from_arrays(arrays, names)

    def close(self) -> None:
        self._file.close()


def spill_rows(
    rows: Iterable[pa.RecordBatch],
    columns: Sequence[ColumnInfo],
    folder: Path,
    count: Callable[[int], None],
) -> Spill:
    """Read all rows, batches of sources.sqlite.rows, and return them with a type per column.

    folder: of the file. count: called with the number of rows read so far.
    Raises what rows raise, and OSError when the file cannot be written.
    """
    found = [_ColumnTypes(column) for column in columns]
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the spill closes it)
    try:
        streams = _write(_counted(_watched(rows, found), count), file)
    except BaseException:
        file.close()
        raise
    return Spill(file, streams, [each.decide() for each in found])


class _ColumnTypes:
    """The possible types of a column, given its values so far."""

    def __init__(self, column: ColumnInfo) -> None:
        self._info = column
        self._candidates = candidates_of(column)
        self._kinds: set[str] = set()
        self._is_exact = True

    def look(self, array: pa.Array) -> None:
        """Take another batch of it into account."""
        if array.null_count == len(array):
            return
        self._candidates = [each for each in self._candidates if each.holds(array)]
        for kind, part in _parts(array):
            if part.null_count == len(part):
                continue
            self._kinds.add(kind)
            if kind == "integer" and self._is_exact:
                least, most = (each.as_py() for each in pc.min_max(part).values())
                self._is_exact = least >= -EXACT and most <= EXACT

    def decide(self) -> tuple[Column, Convert]:
        """Return the column with a kind that holds all values exactly, or mixed."""
        name, kinds = self._info.name, self._kinds
        if kinds and self._candidates:
            column, _ = self._candidates[0]
            values = self._candidates[0].values
            return column, _or_nulls(column, values)
        if not kinds:
            column = Column(name, kind_of(self._info))
            return column, _or_nulls(column, lambda array: array)
        if kinds == {"integer", "real"} and self._is_exact:
            column = Column(name, "real")
            return column, _or_nulls(column, _reals)
        if len(kinds) > 1:
            return Column(name, "mixed"), lambda array: array
        column = Column(name, next(iter(kinds)))
        return column, _or_nulls(column, lambda array: array)


def _watched(rows: Iterable[pa.RecordBatch], found: list[_ColumnTypes]) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        for each, array in zip(found, batch.columns, strict=True):
            each.look(array)
        yield batch


def _counted(
    batches: Iterator[pa.RecordBatch], count: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches:
        done += batch.num_rows
        count(done)
        yield batch


def _write(batches: Iterator[pa.RecordBatch], file: IO[bytes]) -> int:
    """Write the batches as Arrow streams, a new one where the types differ; return how many."""
    streams = 0
    for _, alike in groupby(batches, key=lambda batch: batch.schema):
        first = next(alike)
        with pa.ipc.new_stream(file, first.schema) as writer:
            for batch in chain([first], alike):
                writer.write_batch(batch)
        streams += 1
    return streams


def _parts(array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Yield (kind, array): of the array itself, or of each child of a struct."""
    if pa.types.is_struct(array.type):
        yield from zip((field.name for field in array.type), array.flatten(), strict=True)
    else:
        yield next(kind for kind, each in MEMBERS.items() if each == array.type), array


def _or_nulls(column: Column, convert: Convert) -> Convert:
    """Return convert with a case for arrays of only NULL, which may have any type."""

    def convert_or_null(array: pa.Array) -> pa.Array:
        is_empty = array.null_count == len(array)
        return pa.nulls(len(array), column.type) if is_empty else convert(array)

    return convert_or_null


def _reals(array: pa.Array) -> pa.Array:
    """Return integers and reals as reals."""
    parts = [part for kind, part in _parts(array) if kind in ("integer", "real")]
    return pc.coalesce(*(pc.cast(part, MEMBERS["real"]) for part in parts))
