"""One export: a request for rows in a format, and the journal that it is recorded in."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from exports.chain import Beginning, Links
from exports.errors import RecordingGone
from journal import Complete, DiskJournal, Failed
from sources.folders.tree import Tree
from sources.query import Query

WAITING_OR_RUNNING = ("queued", "running")

# Raised when the same rows become other bytes: exports of older versions are then not shared.
RECORDING_VERSION = 2

# So many characters of an address are its stem, and so many are stem and definition. To take one
# stem for another only costs a resume.
STEM_CHARS = 8
DEFINITION_CHARS = 16

# What is written of an export beside its journal, which has the rest.
_RECORDED = (
    "id address identity source extension selection prepared fingerprint rows_estimate state"
    " rows requested_s started_s ended_s error kept why_gone audience owner digest definition"
)

# Why the bytes of a complete export are not kept. Older records do not say which.
DISCARDED = "they were discarded"
MADE_ROOM = "they made room for newer ones"
NOT_WHOLE = "they were not whole on the disk when the server started"
_NOT_TOLD = "they were discarded, or made room for newer ones"


class Order(NamedTuple):
    """What somebody wants to have.

    selection: its canonical text. excel: whether text is written for Excel. rows_estimate: None
    where only counting would tell. fingerprint: asks what state the data is in, None when that
    cannot be told. audience: the same for all who see the same rows of a source with a filter, ""
    where everybody does. definition: a digest of how the catalogue defines the source.
    """

    source: str
    extension: str
    selection: str
    excel: bool
    query: Query | Tree
    rows_estimate: int | None
    fingerprint: Callable[[], str | None]
    audience: str = ""
    definition: str = ""

    def address(self) -> str:
        """Return text that is the same for orders that a client cannot tell apart.

        It begins as the stem, the digest of what a URL says. Then comes the definition, so that
        what was made under another one is compared with a client's bytes and never served.
        """
        stem = _digest([self.source, self.extension, self.selection])
        definition = _digest([self.definition])[: DEFINITION_CHARS - STEM_CHARS]
        whole = _digest([stem, self.definition, self.audience])
        return stem[:STEM_CHARS] + definition + whole[DEFINITION_CHARS:]

    def identity(self) -> str:
        """Return text that is the same for orders whose bytes are the same over the same data."""
        return _digest([RECORDING_VERSION, self.address(), *self.query.identity()])


def _digest(words: list[Any]) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


class Outcome(NamedTuple):
    """Why an export has no bytes. code: one word for programs. message: for people."""

    code: str
    message: str


@dataclass
class Export:
    """An export in one of the states queued, running, complete, failed, cancelled.

    prepared: asked for in the background: it goes on with no reader. fingerprint: of the data it
    holds, None when that is not certain; then nobody else shares it. kept: its bytes are there.
    why_gone: of a complete one that is not kept; of others `error` says it.
    audience, definition: those of its order; nobody else may see it. Records of older versions have
    no definition: theirs are nobody's. owner: who asked first. digest, links: the
    sha256 of all bytes that are reported, None when that is not known, and of beginnings of them
    (exports/chain.py). saved_bytes: how many there were in the record written last. given: whether
    a client may have some of it; after a restart that is taken for granted. was_cut, was_fetched:
    whether, since the start, a client has left before its end, or had its end. paused: whether it
    makes way for others, while it is running. Times are unix seconds; `unread_since_s` is of the
    monotonic clock.
    """

    id: str
    address: str
    identity: str
    source: str
    extension: str
    selection: str
    journal: DiskJournal
    prepared: bool
    fingerprint: str | None = None
    rows_estimate: int | None = None
    state: str = "queued"
    rows: int = 0
    requested_s: float = field(default_factory=time.time)
    started_s: float | None = None
    ended_s: float | None = None
    error: Outcome | None = None
    kept: bool = True
    why_gone: str = ""
    readers: int = 0
    unread_since_s: float = field(default_factory=time.monotonic)
    audience: str = ""
    owner: str = ""
    definition: str = ""
    digest: str | None = None
    links: Links = field(default_factory=dict)
    saved_bytes: int = 0
    given: bool = True
    was_cut: bool = False
    was_fetched: bool = False
    paused: bool = False

    @property
    def sha256(self) -> str | None:
        end = self.journal.end
        return end.sha256 if isinstance(end, Complete) else None

    @property
    def is_open(self) -> bool:
        """Is it waiting or running?"""
        return self.state in WAITING_OR_RUNNING

    @property
    def is_awaited(self) -> bool:
        """Is a client likely to come for it, which was cut or had it prepared?"""
        return self.was_cut or (self.prepared and not self.was_fetched)

    def check_kept(self) -> None:
        """Raise RecordingGone, saying why, when its bytes are not there."""
        if not self.kept:
            why = self.error.message if self.error else self.why_gone or _NOT_TOLD
            raise RecordingGone(f"the bytes of export {self.id} are not kept: {why}")

    def rate(self) -> float | None:
        """Return the bytes recorded per second, None before the first."""
        if self.started_s is None or not self.journal.size:
            return None
        return self.journal.size / max((self.ended_s or time.time()) - self.started_s, 1e-3)

    def grow(self, report: dict[str, Any]) -> None:
        """Take in how far it has come, as exports.recording.record reports it."""
        self.rows, self.digest = report["rows"], report["digest"]
        if "links" in report:
            self.links = dict(report["links"])
        self.journal.advance(report["bytes"])

    def end(self, state: str, error: Outcome | None = None, sha256: str | None = None) -> None:
        """Come to a final state. Readers get the end, or the failure after what there is."""
        self.state, self.error, self.ended_s = state, error, time.time()
        self.paused = False
        self.unread_since_s = time.monotonic()
        self.kept = error is None
        self.journal.finish(Complete(sha256) if error is None else Failed(*error))

    def tear(self, journal: DiskJournal, error: Outcome) -> None:
        """End one that a process before us has left under way. journal: with what is on the disk.

        Clients may have more of it than its record says, and more than the disk has after a power
        loss; what is known of its beginning stays so.
        """
        if self.digest is not None:
            self.links[self.journal.size] = self.digest
        self.journal, self.digest = journal, None
        self.end("failed", error)

    def beginning(self) -> Beginning:
        """Return what clients can have of it: whatever has been reported."""
        digest = self.sha256 or self.digest
        if digest is None:
            return Beginning(None if self.journal.size else 0, self.links)
        return Beginning(self.journal.size, {**self.links, self.journal.size: digest})

    def describe(self, queue_position: int | None) -> dict[str, Any]:
        """Return what clients are told: times in unix seconds, rate in bytes per second.

        Neither audience nor owner: others are told, too.
        queue_position: 1 for the next that is to run, None when it does not wait.
        """
        error = self.error and {"error": self.error.code, "message": self.error.message}
        return {
            "id": self.id,
            "source": self.source,
            "format": self.extension,
            "selection": self.selection,
            "state": self.state,
            "paused": self.paused,
            "rows": self.rows,
            "rows_estimate": self.rows if self.state == "complete" else self.rows_estimate,
            "bytes": self.journal.size,
            "rate": self.rate(),
            "queue_position": queue_position,
            "sha256": self.sha256,
            "readers": self.readers,
            "prepared": self.prepared,
            "kept": self.kept,
            "requested": self.requested_s,
            "started": self.started_s,
            "ended": self.ended_s,
            "url": f"/exports/{self.id}/file" if self.kept else None,
            "error": error,
        }

    def to_record(self) -> dict[str, Any]:
        """Return what is written beside the journal, to know it again after a restart."""
        record = {name: getattr(self, name) for name in _RECORDED.split()}
        links = list(self.links.items())
        return {**record, "bytes": self.journal.size, "sha256": self.sha256, "links": links}

    @classmethod
    def from_record(
        cls, record: dict[str, Any], open_journal: Callable[..., DiskJournal]
    ) -> Export:
        """Return the export that record describes. open_journal: as DiskJournal without a path.

        Raises KeyError, TypeError or ValueError when it is no such record.
        """
        size, sha256, error = record.pop("bytes"), record.pop("sha256"), record.pop("error")
        outcome = Outcome(*error) if error else None
        end = Failed(*outcome) if outcome else Complete(sha256)
        links = {int(position): str(digest) for position, digest in record.pop("links", ())}
        return cls(**record, links=links, error=outcome, journal=open_journal(size=size, end=end))


def record_path(journal: Path) -> Path:
    """Return where the record of the export with this journal is written."""
    return journal.with_suffix(".json")
