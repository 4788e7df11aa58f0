"""One export: a request for rows in a format, and the journal that it is recorded in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from exports.chain import Beginning, Links
from exports.errors import RecordingGone
from exports.recording_store import Recording
from journal import Complete, Failed

WAITING_OR_RUNNING = ("queued", "running")

# What its record has, besides what its journal has; and where a record has another name for it.
_RECORDED = (
    "id address identity source extension selection prepared fingerprint rows_estimate state"
    " rows requested_s started_s ended_s error kept why_gone audience owner digest definition"
)
_ATTRIBUTES = {"prepared": "background", "kept": "retained", "audience": "visibility_key"}

# Why the bytes of a complete export are not retained. Older records do not say which.
DISCARDED = "they were discarded"
MADE_ROOM = "they made room for newer ones"
NOT_WHOLE = "they were not whole on the disk when the server started"
_NOT_TOLD = "they were discarded, or made room for newer ones"


class Outcome(NamedTuple):
    """Why an export has no bytes. code: one word for programs. message: for people."""

    code: str
    message: str


@dataclass
class Export:
    """An export in one of the states queued, running, complete, failed, cancelled.

    background: it goes on with no reader. fingerprint: of the data it holds, None when that is not
    certain; then nobody else shares it. retained: its bytes are there. why_gone: of a complete one
    that is not retained; of others `error` says it. visibility_key, definition: those of its spec;
    nobody else may see it. Records of older versions have no definition: theirs are nobody's.
    owner: the principal that asked first. digest, links: the sha256 of all bytes that are reported,
    None when that is not known, and of beginnings of them (exports/chain.py). saved_bytes: how many
    there were in the record written last. delivered: whether a client may have some of it; after a
    restart that is taken for granted. was_cut, was_fetched: whether, since the start, a client has
    left before its end, or had its end. paused: whether it makes way for others, while it is
    running. Times are unix seconds; `unread_since_s` is of the monotonic clock.
    """

    id: str
    address: str
    identity: str
    source: str
    extension: str
    selection: str
    journal: Recording
    background: bool
    fingerprint: str | None = None
    rows_estimate: int | None = None
    state: str = "queued"
    rows: int = 0
    requested_s: float = field(default_factory=time.time)
    started_s: float | None = None
    ended_s: float | None = None
    error: Outcome | None = None
    retained: bool = True
    why_gone: str = ""
    readers: int = 0
    unread_since_s: float = field(default_factory=time.monotonic)
    visibility_key: str = ""
    owner: str = ""
    definition: str = ""
    digest: str | None = None
    links: Links = field(default_factory=dict)
    saved_bytes: int = 0
    delivered: bool = True
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
        """Is a client likely to come for it, which was cut or asked for it in the background?"""
        return self.was_cut or (self.background and not self.was_fetched)

    def check_retained(self) -> None:
        """Raise RecordingGone, saying why, when its bytes are not there."""
        if not self.retained:
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
        self.retained = error is None
        self.journal.finish(Complete(sha256) if error is None else Failed(*error))

    def tear(self, journal: Recording, error: Outcome) -> None:
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

    def payload(self, queue_position: int | None) -> dict[str, Any]:
        """Return what clients get as JSON: times in unix seconds, rate in bytes per second.

        Neither visibility_key nor owner: others get it, too.
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
            "prepared": self.background,
            "kept": self.retained,
            "requested": self.requested_s,
            "started": self.started_s,
            "ended": self.ended_s,
            "url": f"/exports/{self.id}/file" if self.retained else None,
            "error": error,
        }

    def to_record(self) -> dict[str, Any]:
        """Return what is written down of it, to know it again after a restart."""
        names = _RECORDED.split()
        record = {name: getattr(self, _ATTRIBUTES.get(name, name)) for name in names}
        links = list(self.links.items())
        return {**record, "bytes": self.journal.size, "sha256": self.sha256, "links": links}

    @classmethod
    def from_record(cls, record: dict[str, Any], open_journal: Callable[..., Recording]) -> Export:
        """Return the export of a record. open_journal: as RecordingStore.open, without the id.

        Raises KeyError, TypeError or ValueError when it is no such record.
        """
        size, sha256, error = record.pop("bytes"), record.pop("sha256"), record.pop("error")
        outcome = Outcome(*error) if error else None
        end = Failed(*outcome) if outcome else Complete(sha256)
        links = {int(position): str(digest) for position, digest in record.pop("links", ())}
        fields = {_ATTRIBUTES.get(name, name): value for name, value in record.items()}
        return cls(**fields, links=links, error=outcome, journal=open_journal(size=size, end=end))
