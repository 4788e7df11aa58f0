"""Logs as text, and what is left of a feed that is searched."""

from __future__ import annotations

import json

import pytest

from wire.events import GAP, HEARTBEAT, RECONNECT, format_event
from wire.framing import NDJSON, SSE, WHOLE_SSE, chunked
from wire.log_framing import LOG_TEXT, FilteredFraming
from wire.log_lines import gap_event, log_event, text_of

CHUNKED = [chunked(each) for each in (NDJSON, SSE, WHOLE_SSE, LOG_TEXT)]


def line_event(line, cut=0):
    made = log_event(line, 1, 9, cut)
    return format_event("0" * 30, "logs/app", made.name, made.data, 1.0)


def notice(name, data):
    return format_event("0" * 30, "logs/app", name, data, 1.0)


def test_a_line_is_a_line():
    events = [line_event('a "b"'), line_event(""), line_event("é", cut=12)]
    assert LOG_TEXT.events(events) == 'a "b"\n\né [12 bytes cut]\n'.encode()


NOTICES = {
    "a gap": (GAP, '{"lost":17,"reason":"expired"}', b"# gap: 17 lines lost (expired)\n"),
    "of how many": (GAP, '{"lost":null,"reason":"restarted"}', b"# gap: lines lost (restarted)\n"),
    "a heartbeat": (HEARTBEAT, "{}", b"\n"),
    "goodbye": (
        RECONNECT,
        '{"after_ms":1234}',
        b"# reconnect: the server restarts, come back in 1234 ms\n",
    ),
}


@pytest.mark.parametrize(("name", "data", "text"), NOTICES.values(), ids=NOTICES.keys())
def test_what_the_server_says(name, data, text):
    assert LOG_TEXT.notice(name, notice(name, data)) == text


def lost_lines():
    made = gap_event("0" * 30, "/logs/app?lines=all")
    return format_event("1" * 30, "logs/app", made.name, made.data, 1.0)


def test_lines_that_the_log_has_lost_are_a_gap():
    events = [line_event("a"), lost_lines(), line_event("b")]
    assert LOG_TEXT.events(events) == b"a\n# gap: lines lost (rotated)\nb\n"
    assert json.loads(NDJSON.events([lost_lines()]))["name"] == GAP
    searched = FilteredFraming(LOG_TEXT, lambda event: text_of(event) == b"b")
    assert searched.events(events) == b"# gap: lines lost (rotated)\nb\n"


def test_text_in_chunks():
    assert chunked(LOG_TEXT).events([line_event("ab")]) == b"3\r\nab\n\r\n"


@pytest.mark.parametrize("inner", [NDJSON, SSE, LOG_TEXT, *CHUNKED])
def test_what_is_not_wanted_is_left_out(inner):
    searched = FilteredFraming(inner, lambda event: text_of(event) != b"b")
    a, b, c = map(line_event, "abc")
    assert searched.events([a, b, c]) == inner.events([a, c])
    assert searched.transport == inner.transport
    beat = notice(HEARTBEAT, "{}")
    assert searched.notice(HEARTBEAT, beat) == inner.notice(HEARTBEAT, beat)


@pytest.mark.parametrize("inner", [NDJSON, *CHUNKED])
def test_of_nothing_there_is_nothing(inner):
    """RFC 9112 7.1: an empty chunk is the end of the body."""
    assert FilteredFraming(inner, lambda event: False).events([line_event("a")]) == b""
