"""Logs over HTTP: the list of logs, the last lines of one, search, and following.

A log is the topic logs/<name> with further query parameters, `lines` and `grep`, and as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from flask import Blueprint, Request, Response, g, jsonify, render_template, request, url_for

from auth.links import since_of
from journal import JournalFailed, RunNative
from sources.catalogue.logs import LogEntry
from sources.logs.bytes import find_log
from streaming.admission import can
from streaming.errors import Refusal, unknown
from streaming.events import NDJSON_TYPES, SSE_TYPE, TEXT_TYPE, answer_reader
from streaming.log_search import Search
from streaming.pages import best_kind, is_set, require_parameters, wants_page
from topics import Patterns, Topics
from topics.topic import Topic
from wire.cursors import parse_cursor
from wire.events import id_of, time_s_of
from wire.framing import NDJSON, SSE, WHOLE_SSE, Framing
from wire.log_framing import LOG_TEXT, FilteredFraming
from wire.since import After, All, Now, Since

DEFAULT_LINES = 100
# The most that is searched for the last matching lines, 250,000 lines: within a second.
MAX_SEARCHED_BYTES = 64 * 1024 * 1024
# The size of one search on a native thread, which takes turns with the hub: a millisecond.
SEARCH_BYTES = 128 * 1024
SEARCH_LINES = 2000

_PARAMETERS = ("lines", "since", "follow", "grep", "literal", "ignore_case", "plain", "whole")
_COUNT = re.compile(r"[0-9]{1,9}")


def make_blueprint(
    logs: Mapping[str, LogEntry], topics: Topics, run_native: RunNative
) -> Blueprint:
    """Return the blueprint of /logs. run_native: runs what waits for a disk, and long searches."""
    blueprint = Blueprint("logs", __name__)
    # Shared by equal searches, so that events are searched and framed once for all readers.
    searched: WeakValueDictionary[tuple[Framing, Search], Framing] = WeakValueDictionary()

    @blueprint.get("/logs")
    def show_all() -> Response | str:
        names = [name for name in logs if can("subscribe", f"logs/{name}")]
        sizes = run_native(lambda: {name: _size_of(logs[name]) for name in names})
        shown = [_show(name, topics, size) for name, size in sizes.items()]
        if wants_page(request):
            return render_template("logs.html", logs=shown, named=len(logs))
        return jsonify(logs=shown)

    @blueprint.get("/logs/<name>")
    def show(name: str) -> Response | str:
        if name not in logs:
            raise unknown("log", name, [log for log in logs if can("subscribe", f"logs/{log}")])
        require_parameters(request, _PARAMETERS)
        if not is_set(request, "plain") and _wants_page(request):
            return render_template("log.html", name=name)
        framing = _framing_of(request)
        search = _search_of(request)
        count = _count_of(request)
        is_wanted = search.compile() if search else None
        since, not_before_s = _since_of(request)
        topic = topics.get(f"logs/{name}")
        if since is None:
            since = _last(topic, count, is_wanted, run_native)
        elif not_before_s and topic and not request.args.get("since"):
            not_before_s = 0.0 if search else _time_s_before(topic, not_before_s, count)

        def narrow(framing: Framing) -> Framing:
            if search is None or is_wanted is None:
                return framing
            return searched.setdefault((framing, search), FilteredFraming(framing, is_wanted))

        patterns = Patterns.parse(f"logs/{name}")
        follows = is_set(request, "follow")
        return answer_reader(
            topics, patterns, since, framing,
            follows=follows, not_before_s=not_before_s, narrow=narrow,
        )  # fmt: skip

    return blueprint


def _size_of(entry: LogEntry) -> int | None:
    status = find_log(entry.path, links=entry.links)
    return status.st_size if status else None


def _show(name: str, topics: Topics, size_bytes: int | None) -> dict[str, Any]:
    """Return the payload of a log. size_bytes: of its current file, None when there is none."""
    topic = topics.get(f"logs/{name}")
    bounds = topic.records.bounds() if topic else None
    oldest = topic.records.read(bounds.first, 1) if topic and bounds else []
    return {
        "name": name,
        "url": url_for("logs.show", name=name),
        "topic": f"logs/{name}",
        "size_bytes": size_bytes,
        "lines": bounds.last - bounds.first + 1 if bounds else 0,
        "first": id_of(oldest[0]).decode() if oldest else None,
        "newest": topic.newest if topic else None,
        "readers": len(topic.readers) if topic else 0,
    }


# Reading the request.


_KINDS = [TEXT_TYPE, *NDJSON_TYPES, SSE_TYPE]


def _wants_page(request: Request) -> bool:
    """Does the client prefer HTML to the lines themselves?"""
    return best_kind(request, [*_KINDS, "text/html"]) == "text/html"


def _framing_of(request: Request) -> Framing:
    """Return the framing that the client accepts; text by default, or with plain=1."""
    if is_set(request, "plain"):
        return LOG_TEXT
    best = best_kind(request, _KINDS) if request.accept_mimetypes else TEXT_TYPE
    if best is None:
        kinds = f"{TEXT_TYPE}, {NDJSON_TYPES[0]} or {SSE_TYPE}"
        raise Refusal(406, "not_acceptable", f"logs are sent as {kinds}: accept one of them")
    if best == TEXT_TYPE:
        return LOG_TEXT
    if best != SSE_TYPE:
        return NDJSON
    return WHOLE_SSE if is_set(request, "whole") else SSE


def _search_of(request: Request) -> Search | None:
    pattern = request.args.get("grep", "")
    if not pattern:
        return None
    return Search(pattern, is_set(request, "literal"), is_set(request, "ignore_case"))


def _count_of(request: Request) -> int | None:
    """Return the number of last lines in the request, None for all."""
    text = request.args.get("lines", "")
    if text == "all":
        return None
    if text and not _COUNT.fullmatch(text):
        raise Refusal(400, "malformed_lines", "lines is the number of last lines, or all")
    return int(text) if text else DEFAULT_LINES


def _since_of(request: Request) -> tuple[Since | None, float]:
    """Return as since_of, None where `lines` says where to begin. Raises as since_of."""
    last_id = request.headers.get("Last-Event-ID")
    since = request.args.get("since")
    if not last_id and since and request.args.get("lines"):
        raise Refusal(400, "since_and_lines", "since and lines both say where to begin: give one")
    return since_of(g.identity.link, last_id, since) if last_id or since else (None, 0.0)


# The last lines.


def _last(
    topic: Topic | None,
    count: int | None,
    is_wanted: Callable[[bytes], bool] | None,
    run_native: RunNative,
) -> Since:
    """Return where the last count wanted lines begin."""
    if topic is None or count is None:
        return All()
    if not count:
        return Now()
    place = topic.last + 1 - count
    if is_wanted is not None:
        place = _find_last(topic, count, is_wanted, run_native)
    if place <= topic.records.bounds().first:
        return All()
    _, cursor = topic.start_from(place)
    return After(parse_cursor(cursor), cursor)


def _time_s_before(topic: Topic, time_s: float, count: int | None) -> float:
    """Return the time of the count-th last line before time_s, 0 for all of them."""
    records = topic.records
    place = records.since(time_s) - count if count is not None else 0
    if place <= records.bounds().first:
        return 0.0
    lines = _read(topic, place)
    return min(time_s, time_s_of(lines[0])) if lines else time_s


def _find_last(
    topic: Topic, count: int, is_wanted: Callable[[bytes], bool], run_native: RunNative
) -> int:
    """Return the ordinal of the count-th last event that is wanted.

    If the last MAX_SEARCHED_BYTES have fewer, that of the first one that was searched.
    """
    stop, searched_bytes = topic.last + 1, 0
    while stop > topic.records.bounds().first and searched_bytes < MAX_SEARCHED_BYTES:
        start = max(topic.records.bounds().first, stop - SEARCH_LINES)
        wanted: list[int] = []
        at = start
        while at < stop and (lines := _read(topic, at)[: stop - at]):
            found = run_native(partial(_try_each, is_wanted, lines))
            wanted += [at + index for index, is_found in enumerate(found) if is_found]
            at += len(lines)
            searched_bytes += sum(map(len, lines))
        if len(wanted) >= count:
            return wanted[-count]
        count -= len(wanted)
        if at < stop:
            # It was evicted, or is damaged.
            return at
        stop = start
    return stop


def _read(topic: Topic, start: int) -> list[bytes]:
    try:
        return topic.records.read(start, SEARCH_BYTES)
    except JournalFailed:
        # The reader reports a gap when it comes there.
        return []


def _try_each(is_wanted: Callable[[bytes], bool], lines: Sequence[bytes]) -> list[bool]:
    return [is_wanted(line) for line in lines]
