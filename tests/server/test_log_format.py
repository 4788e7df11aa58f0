"""A line of the log: one a record whatever is in it, for people and for programs."""

from __future__ import annotations

import io
import json
import logging
import sys
from contextvars import copy_context

import pytest

from server.log_format import (
    JsonLines,
    TextLines,
    current_request_id,
    formatter_for,
    hide,
    take_request_id,
)


def record(message, *args, exc_info=None):
    made = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, args, exc_info)
    made.created = 1_700_000_000.1239
    return made


LINK = (
    "WyJhMWIyYzNkNGU1ZjYwNzE4IiwiYWFhYWFhYWFhYWFhIiwxNzAwMDAwMDAwLDBd.abcdefghijklmnopqrstuvwxyz0"
)
TOKEN = "hw_0123456789ab_" + "B" * 43
SECRETS = {
    "a token": (f"a {TOKEN}, b", "a hw_0123456789ab_..., b"),
    "most of a token": (TOKEN[:-3], "hw_0123456789ab_..."),
    "a link": (f"/d/a.csv?limit=3&link={LINK}&utm=1", "/d/a.csv?limit=3&link=...&utm=1"),
    "its rest": (
        f"no version: 'York&link={LINK} HTTP/1.1'",
        "no version: 'York&link=... HTTP/1.1'",
    ),
    "a link alone": (LINK, "WyJhMWIyYzNk..."),
    "quoted": (f"/login?next=/d%3Flink%3D{LINK}&a=%20", "/login?next=/d?link=...&a= "),
    "quoted twice": (f"?r=%252Fd%253Flink%253D{LINK}", "?r=/d?link=..."),
    "a session": ("/socket.io/?EIO=4&sid=AbC-_1&t=2", "/socket.io/?EIO=4&sid=...&t=2"),
    "a browser's": ("Cookie: headwater_session=.eJw; a=b", "Cookie: headwater_session=...; a=b"),
    "none": ("/d/100%25.csv?blink=1&a=%20 hw_ link", "/d/100%25.csv?blink=1&a=%20 hw_ link"),
}


@pytest.mark.parametrize(("text", "shown"), SECRETS.values(), ids=SECRETS.keys())
def test_what_opens_something_is_hidden(text, shown):
    assert hide(text) == shown


def test_a_traceback_hides_it_too():
    try:
        raise ValueError(f"cannot read {TOKEN}")
    except ValueError:
        made = record("failed with %s", TOKEN, exc_info=sys.exc_info())
    for formatter in (JsonLines(), TextLines()):
        assert "BBB" not in formatter.format(made)


def named(request_id, formatter, made):
    """Return the line that is written while a request of that id is answered."""

    def write():
        current_request_id.set(request_id)
        return formatter.format(made)

    return copy_context().run(write)


def failure():
    try:
        raise ValueError("of\nlines \udcff")
    except ValueError:
        return sys.exc_info()


def test_an_object_a_line():
    assert json.loads(JsonLines().format(record("rows=%d", 3))) == {
        "time": "2023-11-14T22:13:20.123Z", "level": "warning", "logger": "a.logger",
        "message": "rows=3",
    }  # fmt: skip


def test_text_for_people():
    line = TextLines().format(record("rows=%d", 3))
    assert line == "2023-11-14T22:13:20.123Z WARNING a.logger rows=3"


def test_what_belongs_to_a_request_bears_its_name():
    assert json.loads(named("a-1", JsonLines(), record("m")))["request"] == "a-1"
    assert named("a-1", TextLines(), record("m")).endswith(" m request=a-1")


HOSTILE = [
    'a"}\n{"level": "error', "\r\n", "\\", "\x00\x1b[2J\x7f", "\x85\u2028\u2029", "\ud800 \udcff",
    "é🌊", "%s %d",
]  # fmt: skip


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()], ids=["json", "text"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_message_makes_another_line(formatter, text):
    for made in (record(text), record("%s", text)):
        line = formatter.format(made)
        assert line.splitlines() == [line]
        assert line.encode()
        assert "\x1b" not in line


@pytest.mark.parametrize("text", [each for each in HOSTILE if "\ud800" not in each], ids=ascii)
def test_a_program_reads_what_was_said(text):
    assert json.loads(JsonLines().format(record("%s", text)))["message"] == text


def test_half_characters_are_shown():
    assert json.loads(JsonLines().format(record("\udcff")))["message"] == "\\udcff"


def test_arguments_that_do_not_fit_lose_no_line():
    assert "rows=%d" in json.loads(JsonLines().format(record("rows=%d", "x")))["message"]


def test_an_exception_is_a_part_of_the_line():
    line = JsonLines().format(record("failed", exc_info=failure()))
    told = json.loads(line)
    assert told["message"] == "failed"
    assert told["exception"].startswith("Traceback (most recent call last):\n")
    assert told["exception"].endswith("ValueError: of\nlines \\udcff")
    assert line.splitlines() == [line]


def test_an_exception_has_lines_for_people():
    lines = TextLines().format(record("failed", exc_info=failure())).splitlines()
    assert lines[0].endswith(" failed")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "lines \\udcff"


class Terminal(io.StringIO):
    def isatty(self):
        return True


FORMS = {
    "auto on a terminal": ("auto", Terminal(), TextLines),
    "auto into a file": ("auto", io.StringIO(), JsonLines),
    "auto where there is no stream": ("auto", None, JsonLines),
    "text": ("text", io.StringIO(), TextLines),
    "json": ("json", Terminal(), JsonLines),
}


@pytest.mark.parametrize(("form", "stream", "want"), FORMS.values(), ids=FORMS.keys())
def test_the_form_is_chosen(form, stream, want):
    assert type(formatter_for(form, stream)) is want


TAKEN = ["a", "0123456789abcdef", "A.b_c-d", "x" * 64]
MADE = {
    "none": [], "empty": [""], "too long": ["x" * 65], "a blank": ["a b"], "a line end": ["a\n"],
    "quotes": ['a"'], "digits of another script": ["٣"], "two": ["a", "b"],
}  # fmt: skip


@pytest.mark.parametrize("asked", TAKEN)
def test_an_id_that_is_good_is_taken(asked):
    assert take_request_id([asked]) == asked


@pytest.mark.parametrize("asked", MADE.values(), ids=MADE.keys())
def test_else_one_is_made(asked):
    made = {take_request_id(asked) for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == 16 and take_request_id([each]) == each for each in made)
