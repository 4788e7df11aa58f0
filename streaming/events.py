"""Events over HTTP: publish them, follow them as NDJSON or Server-Sent Events, list readers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from functools import partial

from flask import Blueprint, Request, Response, g, jsonify, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge

from auth.links import since_of
from auth.request_scheduler import RequestScheduler, end_turn
from streaming.admission import MAX_PUBLISHED_BYTES, asker, can, in_turns, is_streamed, quota_key
from streaming.errors import Refusal
from streaming.feed import Feed
from streaming.pages import best_kind, is_set, require_parameters, wants_page
from streaming.rights import Rights
from streaming.uploads import Upload, UploadRequest
from topics import Patterns, Publication, TopicReader, Topics
from topics.presence import show_readers, show_topics
from wire.connection import connection_of
from wire.events import MalformedEvent, NewEvent, is_key, parse_event
from wire.framing import NDJSON, SSE, WHOLE_SSE, Framing, chunked
from wire.since import Since

# In one request, with at most 4 MiB: as many of 400 bytes.
MAX_EVENTS = 10_000
# The size of reads of a stream, where the server has no read_some.
PIECE_BYTES = 64 * 1024

NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
SSE_TYPE = "text/event-stream"
TEXT_TYPE = "text/plain"
_TYPES = {"ndjson": NDJSON_TYPES[0], "sse": SSE_TYPE, "text": TEXT_TYPE}
# The query parameters of a reader.
_PARAMETERS = ("since", "poll", "whole")
# How soon an EventSource reconnects after a cut.
RETRY_MS = 2000

_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    # nginx would buffer small writes.
    "X-Accel-Buffering": "no",
}


def make_blueprint(
    topics: Topics,
    rights: Rights,
    note: Callable[[str], None] = lambda quota_key: None,
    scheduler: RequestScheduler | None = None,
) -> Blueprint:
    """Return the blueprint of /events.

    note: counts a request of a quota key. scheduler: for parsing bodies that are read in pieces.
    """
    scheduler = scheduler or RequestScheduler()
    blueprint = Blueprint("events", __name__)

    @blueprint.get("/events")
    def show_all() -> Response | str:
        shown = [
            each
            for each in show_topics(topics)
            if can("subscribe", each["topic"]) and not rights.hides(asker(), each["topic"])
        ]
        if wants_page(request):
            return render_template("events.html", topics=shown)
        return jsonify(topics=shown)

    @blueprint.post("/events/<path:topic>")
    def publish(topic: str) -> Response | tuple[Response, int]:
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        if is_streamed(asked):
            return take_upload(topic)
        # Parsing the most that are allowed takes 30 ms.
        events = list(in_turns(_events_of(asked)))
        publication = Publication(events, _key_of(asked), owner=quota_key())
        # publish may wait for the disk.
        end_turn()
        receipt = topics.publish(topic, publication)
        return jsonify(id=receipt.id, topic=receipt.topic, count=receipt.count), 201

    def take_upload(topic: str) -> Response:
        """Answer while the events are sent."""
        if request.mimetype not in NDJSON_TYPES:
            raise Refusal(415, "unsupported_media_type", f"a stream is {NDJSON_TYPES[0]}")
        if "Idempotency-Key" in request.headers:
            raise Refusal(400, "malformed_key", "in a stream each line has a `key` of its own")
        topics.check_writable(topic)
        stream, key = request.environ["wsgi.input"], quota_key()
        read = getattr(stream, "read_some", partial(stream.read, PIECE_BYTES))
        keep = partial(topics.publish_all, topic, owner=key)
        upload = Upload(UploadRequest(key, read, keep, note, scheduler, lambda: topics.is_open))
        return Response(
            iter(upload), content_type=NDJSON_TYPES[0], headers=_HEADERS, direct_passthrough=True
        )

    @blueprint.get("/events/<path:topic>/readers")
    def readers(topic: str) -> Response:
        return jsonify(show_readers(topics, topic, partial(rights.hides, asker())))

    @blueprint.get("/events/<path:names>")
    def follow(names: str) -> Response:
        require_parameters(request, _PARAMETERS)
        framing = _framing_of(request)
        last_id = request.headers.get("Last-Event-ID")
        since, not_before_s = since_of(g.identity.link, last_id, request.args.get("since"))
        follows = not is_set(request, "poll")
        patterns = Patterns.parse(names)
        narrow = partial(rights.narrow, asker(), patterns)
        return answer_reader(
            topics, patterns, since, framing,
            follows=follows, not_before_s=not_before_s, narrow=narrow,
        )  # fmt: skip

    return blueprint


def answer_reader(
    topics: Topics,
    patterns: Patterns,
    since: Since,
    framing: Framing,
    *,
    follows: bool,
    not_before_s: float = 0.0,
    narrow: Callable[[Framing], Framing] = lambda framing: framing,
) -> Response:
    """Return the events after since, as the answer to the current request.

    follows: without end, else until it has caught up. not_before_s: see Topics.reader.
    narrow: makes a framing leave events out.
    Raises Refusal, and as Topics.reader.
    """
    is_chunked = follows and request.environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    pushed = narrow(chunked(framing) if is_chunked else framing)
    connection = secrets.token_hex(8)
    reader = topics.reader(patterns, since, connection, pushed, not_before_s)
    opening = _opening_of(framing, reader)
    body: Feed | Iterator[bytes]
    if not follows:
        body = _poll(topics, opening, reader)
    elif (client := connection_of(request.environ)) is not None:
        body = Feed(topics, reader, client, opening)
    else:
        raise Refusal(501, "no_feed", "following needs the server that gunicorn.conf.py starts")
    headers = {"Headwater-Cursor": reader.cursor, "Headwater-Connection": connection}
    return Response(body, mimetype=_TYPES[framing.transport], headers={**_HEADERS, **headers})


def _poll(topics: Topics, opening: bytes, reader: TopicReader) -> Iterator[bytes]:
    """Yield the events that the reader has not had, in pieces of about 64 KiB, and end."""
    try:
        if opening:
            yield opening
        while data := reader.more():
            yield data
    finally:
        topics.leave(reader)


def _opening_of(framing: Framing, reader: TopicReader) -> bytes:
    """Return the beginning of a stream: for SSE, where to resume before the first event."""
    if framing.transport != "sse":
        return b""
    return b"retry: %d\nid: %b\n\n" % (RETRY_MS, reader.cursor.encode())


def _framing_of(request: Request) -> Framing:
    """Return the framing that the client accepts; NDJSON by default."""
    best = best_kind(request, [*NDJSON_TYPES, SSE_TYPE])
    if not request.accept_mimetypes:
        return NDJSON
    if best is None:
        kinds = f"{NDJSON_TYPES[0]} or {SSE_TYPE}"
        raise Refusal(406, "not_acceptable", f"events are sent as {kinds}: accept one of them")
    if best != SSE_TYPE:
        return NDJSON
    return WHOLE_SSE if is_set(request, "whole") else SSE


def _key_of(request: Request) -> str | None:
    key: str | None = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not is_key(key):
        message = "an Idempotency-Key is 1 to 255 visible ASCII characters"
        raise Refusal(400, "malformed_key", message)
    return key


def _events_of(request: Request) -> Iterator[NewEvent]:
    """Yield the events of a request's body; the first malformed one refuses all."""
    body = request.get_data()
    if len(body) > MAX_PUBLISHED_BYTES:
        raise RequestEntityTooLarge(f"a request publishes at most {MAX_PUBLISHED_BYTES} bytes")
    if request.mimetype in NDJSON_TYPES:
        lines = [line for line in body.split(b"\n") if line.strip()]
    elif request.mimetype == "application/json":
        lines = [body]
    else:
        kinds = f"application/json, or {NDJSON_TYPES[0]} with one event a line"
        raise Refusal(415, "unsupported_media_type", f"events are published as {kinds}")
    if not lines:
        raise MalformedEvent("there is no event in the body")
    if len(lines) > MAX_EVENTS:
        raise MalformedEvent(f"a request publishes at most {MAX_EVENTS} events")
    for number, line in enumerate(lines, 1):
        try:
            yield parse_event(line)
        except MalformedEvent as error:
            raise MalformedEvent(f"event {number}: {error}") from error
