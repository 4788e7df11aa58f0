"""Values that people write: read, or reported with what would be right."""

from __future__ import annotations

import pytest

from wire.entry import FLAG, Entry, read_document, whole

TAKEN = {
    "a number": ("a = 7", whole(0, 9), 1, 7, []),
    "the default": ("", whole(0, 9), 1, 1, []),
    "false is a value": ("a = false", FLAG, True, False, []),
    "true is no number": (
        "a = true",
        whole(0, 9),
        1,
        1,
        ["a: true cannot be used; a whole number from 0 to 9 would be right"],
    ),
    "out of the bounds": (
        "a = 99999999999999999999",
        whole(0, 9),
        1,
        1,
        ["a: a number past 64 bits cannot be used; a whole number from 0 to 9 would be right"],
    ),
    "none, where one is needed": (
        "",
        FLAG,
        None,
        None,
        ["a: is missing; true or false would be right"],
    ),
}


@pytest.mark.parametrize(
    ("text", "kind", "default", "want", "problems"), TAKEN.values(), ids=TAKEN.keys()
)
def test_a_value_is_taken(text, kind, default, want, problems):
    document = read_document(text)
    assert document.take("a", kind, default) is want
    assert document.problems == problems


def test_all_that_is_wrong_is_collected():
    entry = Entry("logs.x", {"links": 1, "pth": "a"}, [])
    entry.refuse_unknown(("path", "links"))
    entry.take("links", FLAG, False)
    assert entry.problems == [
        "logs.x.pth: unknown key; did you mean path?",
        "logs.x.links: 1 cannot be used; true or false would be right",
    ]
