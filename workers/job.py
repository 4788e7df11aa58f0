"""What a recording process is told to do; it crosses as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

from sources.query import Query
from sources.tables import ColumnInfo


class Job(NamedTuple):
    """One export to be recorded.

    path: the journal's file. extension: format and compression, as in wire.formats. excel: whether
    delimited text is written for Excel.
    """

    id: str
    path: str
    extension: str
    excel: bool
    query: Query

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "query": list(self.query)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Job:
        query = Query(*fields["query"])
        columns = [ColumnInfo(*column) for column in query.columns]
        return cls(**{**fields, "query": query._replace(columns=columns)})
