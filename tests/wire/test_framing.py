"""NDJSON, Server-Sent Events and chunks, read back by readers that know only their standard."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.cursors import Cursor, format_cursor
from wire.events import GAP, HEARTBEAT, RECONNECT, format_event
from wire.framing import NDJSON, SSE, WHOLE_SSE, chunk, chunked


def line_of(number, name="order", data="1"):
    event_id = format_cursor(Cursor(1, number, number, 7))
    return format_event(event_id, "demo/a", name, data, 1764000000 + number)


ONE, TWO = line_of(1), line_of(2, "other", '{"text":"é\u2028","n":[1,2]}')
BEAT = line_of(3, HEARTBEAT, "{}")
MISSING = line_of(4, GAP, '{"from":null,"to":"x","lost":17}')
BACK = line_of(5, RECONNECT, '{"after_ms":1234}')


class EventSource:
    """The interpretation of WHATWG HTML 9.2.6: fields to events, and what is kept between them."""

    def __init__(self):
        self.events, self.comments = [], []
        self.last_id, self.retry_ms = "", None

    def read(self, stream):
        """Take a stream that ends; what is not ended by a blank line is dropped."""
        data, kind = [], ""
        for line in re.split("\r\n|\n|\r", stream.decode())[:-1]:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    self.events.append((kind or "message", "\n".join(data), self.last_id))
                data, kind = [], ""
            elif not field:
                self.comments.append(value)
            elif field == "data":
                data.append(value)
            elif field == "event":
                kind = value
            elif field == "id":
                self.last_id = value
            elif field == "retry":
                self.retry_ms = int(value)
        return self


def unchunked(stream):
    """RFC 9112 7.1.3: the chunks of a body, which need not have ended."""
    chunks = []
    while stream:
        size, _, stream = stream.partition(b"\r\n")
        length = int(size, 16)
        assert stream[length : length + 2] == b"\r\n"
        chunks.append(stream[:length])
        stream = stream[length + 2 :]
    return chunks


def id_text(line):
    return json.loads(line)["id"]


def test_ndjson_is_the_lines():
    assert NDJSON.events([ONE, TWO]) == ONE + TWO
    assert NDJSON.notice(GAP, MISSING) == MISSING
    assert NDJSON.notice(RECONNECT, BACK) == BACK


def test_a_heartbeat_of_ndjson_is_a_blank_line_and_an_event():
    assert NDJSON.notice(HEARTBEAT, BEAT) == b"\n" + BEAT


def test_sse_shows_data_and_whole_sse_the_event():
    event = json.loads(TWO)
    for framing, want in ((SSE, ("other", event["data"])), (WHOLE_SSE, ("message", event))):
        source = EventSource().read(framing.events([ONE, TWO]))
        _, (kind, data, last_id) = source.events
        assert (kind, json.loads(data), last_id) == (*want, id_text(TWO))


names = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\\u2028\u2029'),
    min_size=1,
    max_size=20,
)
data = st.recursive(
    st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
)


@given(st.lists(st.tuples(names, data), min_size=1, max_size=5), st.sampled_from([SSE, WHOLE_SSE]))
def test_an_event_source_reads_what_was_published(events, framing):
    texts = [json.dumps(value, ensure_ascii=False) for _, value in events]
    named = zip(events, texts, strict=True)
    lines = [line_of(n, name, text) for n, ((name, _), text) in enumerate(named)]
    source = EventSource().read(framing.events(lines))
    whole = framing is WHOLE_SSE
    assert [(kind, last_id) for kind, _, last_id in source.events] == [
        ("message" if whole else name, id_text(line))
        for (name, _), line in zip(events, lines, strict=True)
    ]
    read = [json.loads(text) for _, text, _ in source.events]
    assert read == [json.loads(line) if whole else json.loads(line)["data"] for line in lines]


@pytest.mark.parametrize("framing", [SSE, WHOLE_SSE], ids=["sse", "whole"])
@pytest.mark.parametrize("line", [ONE, TWO, MISSING], ids=["event", "name", "gap"])
def test_the_id_is_the_last_line_of_what_moves_the_cursor(framing, line):
    for written in (framing.events([line]), framing.notice(GAP, line)):
        assert written.endswith(f"\nid: {id_text(line)}\n\n".encode())
        assert written.count(b"id: ") == 1


def test_a_heartbeat_of_sse_is_a_comment_and_moves_no_cursor():
    source = EventSource().read(SSE.events([ONE]) + SSE.notice(HEARTBEAT, BEAT))
    assert source.comments == [f"heartbeat {id_text(BEAT)}"]
    assert (len(source.events), source.last_id) == (1, id_text(ONE))


def test_a_heartbeat_of_whole_sse_is_an_event_too():
    source = EventSource().read(WHOLE_SSE.notice(HEARTBEAT, BEAT))
    assert source.comments == [f"heartbeat {id_text(BEAT)}"]
    assert source.events == [("heartbeat", BEAT.decode()[:-1], "")]


@pytest.mark.parametrize("framing", [SSE, WHOLE_SSE], ids=["sse", "whole"])
def test_a_gap_of_sse_moves_the_cursor(framing):
    source = EventSource().read(framing.notice(GAP, MISSING))
    assert (source.events[0][0], source.last_id) == ("gap", id_text(MISSING))


@pytest.mark.parametrize("framing", [SSE, WHOLE_SSE], ids=["sse", "whole"])
def test_sse_is_told_when_to_come_back_by_retry(framing):
    source = EventSource().read(framing.events([ONE]) + framing.notice(RECONNECT, BACK))
    assert source.retry_ms == 1234
    assert (len(source.events), source.last_id) == (1, id_text(ONE))


@pytest.mark.parametrize("framing", [NDJSON, SSE, WHOLE_SSE], ids=["ndjson", "sse", "whole"])
def test_every_write_is_one_chunk(framing):
    in_chunks = chunked(framing)
    assert in_chunks.transport == framing.transport
    written = in_chunks.events([ONE, TWO]) + in_chunks.notice(HEARTBEAT, BEAT)
    assert unchunked(written) == [framing.events([ONE, TWO]), framing.notice(HEARTBEAT, BEAT)]


@given(st.binary(min_size=1))
def test_a_chunk_is_read_back(data):
    assert unchunked(chunk(data)) == [data]
