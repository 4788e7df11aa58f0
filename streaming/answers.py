"""An export's bytes as the answer to one request: conditions, ranges, growing journals.

Way in: ExportAnswer. Source: RFC 9110, 13 to 15; RFC 9530 for Repr-Digest.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import closing

from flask import Request, Response

from exports.export import Export
from exports.service import ExportService
from journal import ByteReader, Failed, JournalFailed
from streaming.bodies import StreamedBody
from streaming.errors import Refusal
from streaming.presence import make_has_left
from wire.digests import repr_digest
from wire.filenames import content_disposition
from wire.formats import media_type_of
from wire.multipart import ByteRanges
from wire.ranges import (
    IntRange,
    RangeSpec,
    Span,
    UnsatisfiableRange,
    content_range,
    parse_range_spec,
    resolve,
    unsatisfied_range,
)
from wire.validators import ConditionResult, Conditions, EntityTag, evaluate

# How often a request that waits for an export checks whether its client is still there.
PRESENCE_CHECK_S = 0.5


def etag_of(export: Export) -> EntityTag:
    """Return the strong entity tag of an export's bytes: no other export has the same."""
    return EntityTag(export.id)


class ExportAnswer:
    """Answers one request with the bytes of one export.

    resume_wait_s: how long a request waits that needs the whole export. cache_control: of a
    successful answer. head_wait_s: how long a HEAD waits for the end, to send the length.
    """

    def __init__(
        self,
        exports: ExportService,
        export: Export,
        request: Request,
        *,
        resume_wait_s: float,
        cache_control: str,
        head_wait_s: float = 0.0,
    ) -> None:
        self._exports = exports
        self._export = export
        self._request = request
        self._resume_wait_s = resume_wait_s
        self._head_wait_s = head_wait_s
        self._has_left = make_has_left(request.environ)
        self._media_type = media_type_of(export.extension)
        self._headers = {
            "Content-Type": self._media_type,
            "ETag": str(etag_of(export)),
            "Accept-Ranges": "bytes",
            "Cache-Control": cache_control,
            "Headwater-Export": export.id,
            # nginx then forwards bytes without buffering them.
            "X-Accel-Buffering": "no",
        }

    def respond(self) -> Response:
        """Return the response. Raises Refusal, RecordingGone or JournalFailed before any byte."""
        self._export.check_retained()
        conditions = Conditions.read(self._request.headers.get)
        outcome = evaluate(self._request.method, conditions, etag_of(self._export), None)
        if outcome is ConditionResult.PRECONDITION_FAILED:
            message = "the export is not the one that If-Match names"
            raise Refusal(412, "precondition_failed", message, headers=self._validator())
        if outcome is ConditionResult.NOT_MODIFIED:
            return Response(status=304, headers={**self._validator(), **self._caching()})
        specs = (
            parse_range_spec(conditions.range) if outcome is ConditionResult.SERVE_RANGE else None
        )
        # A range of all bytes of a growing export is answered as the whole, without waiting.
        is_all = specs == [IntRange(0, None)] and not self._is_complete()
        if specs and not is_all:
            return self._respond_with_ranges(specs)
        return self._respond_with_the_whole()

    def _respond_with_the_whole(self) -> Response:
        is_http_1_0 = self._request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        if self._request.method == "HEAD":
            self._look_for(2**63, self._head_wait_s)
            return self._response(200, None)
        if is_http_1_0:
            # Without chunks, a cut body shows only by its length.
            self._wait_for(2**63)
        body = self._body([self._reader(0, None)])
        return self._response(200, body)

    def _respond_with_ranges(self, specs: list[RangeSpec]) -> Response:
        bounded = specs[0] if len(specs) == 1 and isinstance(specs[0], IntRange) else None
        last = bounded.last if bounded else None
        self._wait_for(2**63 if last is None else last)
        spans: list[Span] | None
        if bounded and last is not None and not self._is_complete():
            spans = [Span(bounded.first, last + 1)]
        else:
            size = self._export.journal.size
            try:
                spans = resolve(specs, size)
            except UnsatisfiableRange as error:
                headers = {**self._validator(), "Content-Range": unsatisfied_range(size)}
                message = f"the export has {size} bytes and none of those asked for"
                detail = {"size": size}
                raise Refusal(416, "range_not_satisfiable", message, detail, headers) from error
        if spans is None:
            return self._respond_with_the_whole()
        if len(spans) == 1:
            return self._respond_with_one_span(spans[0])
        parts = ByteRanges(
            tuple(spans), self._export.journal.size, self._media_type, secrets.token_hex(16)
        )
        response = self._response(206, self._body(self._open(parts)), parts.content_length)
        response.headers["Content-Type"] = parts.content_type
        return response

    def _respond_with_one_span(self, span: Span) -> Response:
        size = self._export.journal.size if self._is_complete() else None
        body = self._body([self._reader(*span)])
        response = self._response(206, body, span.stop - span.start)
        response.headers["Content-Range"] = content_range(span, size)
        return response

    def _wait_for(self, position: int) -> None:
        """Wait until the byte at position can be read, or for the end.

        Raises JournalFailed if the end is a failure, Refusal when it takes too long.
        """
        if not self._look_for(position, self._resume_wait_s):
            message = "the export is still being recorded; request these bytes again"
            detail = {"rows": self._export.rows, "bytes": self._export.journal.size}
            raise Refusal(503, "still_recording", message, detail)

    def _look_for(self, position: int, timeout_s: float) -> bool:
        """Wait as _wait_for does; False when it takes longer than timeout_s."""
        journal = self._export.journal
        deadline_s = time.monotonic() + timeout_s
        # Without a reader the export would be abandoned meanwhile.
        with closing(self._exports.read(self._export, delivers=False)):
            while not journal.wait(position, min(PRESENCE_CHECK_S, timeout_s)):
                if time.monotonic() > deadline_s or self._has_left():
                    return False
        if isinstance(journal.end, Failed):
            raise JournalFailed(*journal.end)
        return True

    def _is_complete(self) -> bool:
        return self._export.state == "complete"

    def _reader(self, start: int, stop: int | None) -> ByteReader:
        return self._exports.read(self._export, start, stop, has_left=self._has_left)

    def _open(self, parts: ByteRanges) -> list[bytes | ByteReader]:
        return [self._reader(*p) if isinstance(p, Span) else p for p in parts.pieces()]

    def _body(self, pieces: Sequence[bytes | ByteReader]) -> StreamedBody:
        name = f"export={self._export.id} range={self._request.headers.get('Range', '')!a}"
        return StreamedBody(name, pieces)

    def _response(
        self, status: int, body: StreamedBody | None, length: int | None = None
    ) -> Response:
        # The size is read after the first chunk: a small export is often complete by then.
        response = Response(body, status, self._headers, direct_passthrough=True)
        # Not of a HEAD: Flask would send the length of the missing body.
        response.automatically_set_content_length = False
        name = f"{self._export.source}.{self._export.extension}"
        response.headers["Content-Disposition"] = content_disposition(name)
        if self._is_complete():
            response.headers["Content-Length"] = str(
                self._export.journal.size if length is None else length
            )
            if self._export.sha256 is not None:
                response.headers["Repr-Digest"] = repr_digest(self._export.sha256)
        elif length is not None:
            response.headers["Content-Length"] = str(length)
        return response

    def _validator(self) -> dict[str, str]:
        return {"ETag": self._headers["ETag"]}

    def _caching(self) -> dict[str, str]:
        return {"Cache-Control": self._headers["Cache-Control"]}
