"""Columns whose rows differ in kind: as text, or as one kind where a batch has only one.

As text, integers are their digits, reals the shortest digits that read back as the same double
(`10.5`, `1.0`, `1e-7`; `inf`, `-inf`, `NaN`), and blobs base64, as CSV writes columns of those
kinds.
Way in: text_of (a polars expression), to_text (Arrow in and out), kinds_in and narrow.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pyarrow as pa

from encoders.contract import MEMBERS

_NAMES = tuple(MEMBERS)


def _unchanged(text: pl.Expr) -> pl.Expr:
    return text


def base64_of(blob: pl.Expr) -> pl.Expr:
    return blob.bin.encode("base64")


def text_of(column: pl.Expr, guard: Callable[[pl.Expr], pl.Expr] = _unchanged) -> pl.Expr:
    """Return the expression that renders a mixed column as text; NULL stays null.

    guard: applied to the cells that are not numbers.
    """
    part = column.struct.field
    return pl.coalesce(
        guard(part("text")),
        part("integer").cast(pl.String),
        part("real").cast(pl.String),
        guard(base64_of(part("blob"))),
    )


def to_text(array: pa.Array) -> pa.StringArray:
    """Return a mixed column rendered as text, as an Arrow string array."""
    if not pa.types.is_struct(array.type):
        array = _widen(array)
    frame = pl.DataFrame({"mixed": pl.from_arrow(array)})
    text = frame.select(text_of(pl.col("mixed"))).to_series()
    return text.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())


def kinds_in(array: pa.StructArray) -> list[str]:
    """Return the kinds of the rows of a mixed column, in the order of MEMBERS."""
    # flatten, not field: it applies the struct's own nulls to its children.
    return [
        name
        for name, child in zip(_NAMES, array.flatten(), strict=True)
        if child.null_count < len(child)
    ]


def narrow(array: pa.StructArray, kind: str) -> pa.Array:
    """Return the child that holds all values. kind: the only element of kinds_in(array)."""
    return array.flatten()[_NAMES.index(kind)]


def _widen(array: pa.Array) -> pa.StructArray:
    """Return an array of one kind as the struct of a mixed column."""
    types = MEMBERS.values()
    children = [array if each == array.type else pa.nulls(len(array), each) for each in types]
    return pa.StructArray.from_arrays(children, list(MEMBERS))
