"""Lines of logs as events: what went in comes out, as text and as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.events import format_event, parts_of
from wire.log_lines import Place, cut_of, is_gap, log_event, place_of, text_of

LINES = {
    "nothing": "",
    "plain": "GET /",
    "what it is found by": '","file":1,"end":2,"cut":3}',
    "the beginning of data": ',"data":{"line":"x","file":1}',
    "a time": '"},"time":1.0}',
    "backslashes": "\\",
    "a quote at the end": 'x"',
    "controls": "\x00\x1b[1m\r\t\x7f",
    "what some take for line ends": "\x85\u2028\u2029\x0b\x0c",
    "beyond ASCII": "é 🌊",
    "a gap": '","name":"gap","data":{}',
}


def event_of(line, file=3, end=70, cut=0):
    made = log_event(line, file, end, cut)
    return format_event("0" * 30, "logs/app", made.name, made.data, 1764000000.5)


@pytest.mark.parametrize("cut", [0, 5])
@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_a_line_is_what_it_was(line, cut):
    event = event_of(line, cut=cut)
    assert event.count(b"\n") == 1
    assert text_of(event) == line.encode()
    assert cut_of(event) == cut
    assert not is_gap(event)
    assert place_of(event) == Place(line, 3, 70, cut)
    fields = {"line": line, "file": 3, "end": 70, **({"cut": cut} if cut else {})}
    assert json.loads(parts_of(event).data) == fields


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**60))
def test_any_line_is_what_it_was(line, cut):
    event = event_of(line, cut=cut)
    assert (text_of(event), cut_of(event)) == (line.encode(), cut)


@pytest.mark.parametrize("data", ["1", "[]", '{"line":"x"}', '{"file":1,"end":2}', "null"])
def test_what_is_no_line_is_refused(data):
    with pytest.raises(ValueError):
        place_of(format_event("0" * 30, "logs/app", "line", data, 1.0))
