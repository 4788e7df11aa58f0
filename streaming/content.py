"""Complete content as the answer to one request: conditions, ranges, lengths.

Way in: answer_content. Source: RFC 9110, 13 to 15. (For exports, which may still grow: answers.py.)
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple, Protocol

from flask import Request, Response, current_app

from sources.grain import TICK_S
from streaming.bodies import Piece, StreamedBody, sent_bytes_of
from streaming.errors import Refusal
from wire.multipart import ByteRanges
from wire.ranges import Span, UnsatisfiableRange, content_range, parse_range, unsatisfied_range
from wire.validators import ConditionResult, Conditions, EntityTag, evaluate, format_http_date

# A second, and a tick of the file system's clock.
DATE_S = 1 + TICK_S


class Content(Protocol):
    """The content to send. name: for the log. headers: further ones of a successful answer.

    etag: see etag_of. modified_s: unix seconds, None if not known.
    """

    name: str
    size: int
    etag: EntityTag
    modified_s: float | None
    media_type: str
    headers: Mapping[str, str]

    def read(self, span: Span, /) -> Piece:
        """Return the bytes of span; iterating raises if they are no longer those of etag."""

    def close(self) -> None:
        """Free resources; pieces that `read` has returned stay valid."""


class _Part(NamedTuple):
    """The part to send: bytes and spans, with their status and headers."""

    status: int
    pieces: Sequence[bytes | Span]
    length: int
    headers: Mapping[str, str]


def etag_of(digest: str, *, is_settled: bool) -> EntityTag:
    """Return the entity tag for content with this digest.

    is_settled: whether every later change changes the digest. If not, the tag is weak, so that
    If-Range does not hold, and different each time, so that If-None-Match does not hold either.
    """
    if is_settled:
        return EntityTag(digest)
    return EntityTag(f"{digest}-{secrets.token_hex(8)}", weak=True)


def answer_content(request: Request, content: Content) -> Response:
    """Return the answer to a GET or HEAD, and close content. Raises Refusal."""
    try:
        return _answer(request, content)
    finally:
        content.close()


def _answer(request: Request, content: Content) -> Response:
    validators = {"ETag": str(content.etag)}
    modified_s = content.modified_s
    # 8.8.2.1: never later than now. A date has whole seconds: until that second is over, another
    # change may have the same date. A file's time may also be outside of the calendar.
    if modified_s is not None and not 0 <= modified_s < time.time() - DATE_S:
        modified_s = None
    if modified_s is not None:
        validators["Last-Modified"] = format_http_date(modified_s)
    conditions = Conditions.read(request.headers.get)
    outcome = evaluate(request.method, conditions, content.etag, modified_s)
    if outcome is ConditionResult.PRECONDITION_FAILED:
        message = "the conditions do not hold, or no longer hold, for this content"
        raise Refusal(412, "precondition_failed", message, headers=validators)
    if outcome is ConditionResult.NOT_MODIFIED:
        caching = {k: v for k, v in content.headers.items() if k in ("Cache-Control", "Vary")}
        return Response(status=304, headers={**validators, **caching})
    wanted = conditions.range if outcome is ConditionResult.SERVE_RANGE else None
    status, pieces, length, headers = _part_of(content, wanted, validators)
    own = {"Content-Type": content.media_type, "Accept-Ranges": "bytes"}
    headers = {**own, **validators, **content.headers, **headers, "Content-Length": str(length)}
    body = None
    if request.method != "HEAD":
        name = f"{content.name} range={request.headers.get('Range', '')!a}"
        body = StreamedBody(name, _open(content, pieces), sent_bytes_of(current_app), "files")
    response = Response(body, status, headers, direct_passthrough=True)
    response.automatically_set_content_length = False
    return response


def _open(content: Content, pieces: Sequence[bytes | Span]) -> list[bytes | Piece]:
    opened: list[bytes | Piece] = []
    with ExitStack() as undo:
        for piece in pieces:
            if isinstance(piece, Span):
                reader = content.read(piece)
                undo.callback(reader.close)
                opened.append(reader)
            else:
                opened.append(piece)
        undo.pop_all()
    return opened


def _part_of(content: Content, wanted: str | None, validators: Mapping[str, str]) -> _Part:
    """Return the part that a Range header asks for; validators are sent with a refusal."""
    size = content.size
    try:
        spans = parse_range(wanted, size)
    except UnsatisfiableRange as error:
        headers = {**validators, "Content-Range": unsatisfied_range(size)}
        message = f"there are {size} bytes and none of those asked for"
        raise Refusal(416, "range_not_satisfiable", message, {"size": size}, headers) from error
    # 14.2: a Range may be ignored. Spans of unsettled content could be of different moments.
    if spans is None or (len(spans) > 1 and content.etag.weak):
        return _Part(200, [Span(0, size)], size, {})
    if len(spans) == 1:
        [span] = spans
        return _Part(
            206, spans, span.stop - span.start, {"Content-Range": content_range(span, size)}
        )
    parts = ByteRanges(tuple(spans), size, content.media_type, secrets.token_hex(16))
    headers = {"Content-Type": parts.content_type}
    return _Part(206, list(parts.pieces()), parts.content_length, headers)
