"""A job: what a recording process is to do. It crosses as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

from exports.recording_store import RecordingTarget
from sources.columns import ColumnInfo
from sources.folders.tree import Tree
from sources.query import Query


class Job(NamedTuple):
    """One export to be recorded.

    target: where it is written. extension: format and compression, as in wire.formats. excel:
    whether delimited text is written for Excel. source: its name, which a sheet is named after.
    marks: where its chain is to have links, too. chance_s: the processor time after which the
    process ends without a trace, 0 for none (exports/trial.py). may_stay: it goes on all the same
    if it keeps no writer of its database waiting.
    """

    id: str
    target: RecordingTarget
    extension: str
    excel: bool
    query: Query | Tree
    source: str
    marks: tuple[int, ...] = ()
    chance_s: float = 0.0
    may_stay: bool = False

    def to_json(self) -> dict[str, Any]:
        kind = "tree" if isinstance(self.query, Tree) else "query"
        return {**self._asdict(), "query": {kind: list(self.query)}}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Job:
        marks, target = tuple(fields["marks"]), RecordingTarget(*fields["target"])
        fields = {**fields, "marks": marks, "target": target}
        if "tree" in fields["query"]:
            return cls(**{**fields, "query": Tree(*fields["query"]["tree"])})
        query = Query(*fields["query"]["query"])
        columns = [ColumnInfo(*column) for column in query.columns]
        return cls(**{**fields, "query": query._replace(columns=columns)})
