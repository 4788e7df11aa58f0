"""Specs of exports that nobody records."""

from __future__ import annotations

from exports.spec import ExportSpec
from sources.query import Query


def a_spec(number: int = 0, **changes: object) -> ExportSpec:
    """Return a spec of an address and a query of its own."""
    query = Query("sqlite", "3", "file:x.db", f"select {number}", {}, [])
    spec = ExportSpec("numbers", "csv", f"limit={number}", False, query, None, lambda: None)
    return spec._replace(**changes)
