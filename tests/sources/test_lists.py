from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.lists import item_text, list_text, read_list, split_list, unquoted

LISTS = {
    "one": ("a", ["a"]),
    "two": ("a,b", ["a", "b"]),
    "none is an empty one": ("", [""]),
    "empty ones": (",a,", ["", "a", ""]),
    "a comma in quotes": ('"a, b",c', ["a, b", "c"]),
    "RFC 4180, 2.7: a quote within is doubled": ('"a ""b"", c"', ['a "b", c']),
    "quotes without need beside one with": ('"a,b","c"', ["a,b", "c"]),
    "as before: quotes that nothing needs": ('"a","b"', ['"a"', '"b"']),
    "as before: a quote within": ('5",6"', ['5"', '6"']),
    "as before: one that is not closed": ('"a,b', ['"a', "b"]),
    "as before: one that is closed too early": ('"a"b,c', ['"a"b', "c"]),
    "a value that begins with a quote": ('"""a",b"', ['"a', 'b"']),
    "blanks are of the items": ("a, b", ["a", " b"]),
    "a minus is of the item": ('-"a,b"', ['-"a', 'b"']),
}


@pytest.mark.parametrize(("text", "want"), LISTS.values(), ids=LISTS.keys())
def test_a_list_is_read(text, want):
    assert read_list(text) == want


def test_a_key_to_sort_by_has_its_minus_before_the_quotes():
    assert split_list('-"a,b",c,"-d,e"', signed=True) == ['-"a,b"', "c", '"-d,e"']
    assert [unquoted(item) for item in ('"-d,e"', "c", '-"a,b"')] == ["-d,e", None, None]


@given(st.lists(st.text(st.sampled_from('ab",- '), max_size=5), min_size=1, max_size=4))
def test_what_is_written_is_read_the_same(items):
    assert read_list(list_text(items)) == items
    assert [unquoted(each) or each for each in split_list(",".join(map(item_text, items)))] == items


@given(st.lists(st.text(st.sampled_from("ab- "), max_size=5), min_size=1, max_size=4))
def test_no_item_is_quoted_without_need(items):
    assert list_text(items) == ",".join(items)


@pytest.mark.parametrize("text", ['"' * 20_001, '",' * 10_000, '"a' * 10_000, '"",' * 10_000])
def test_no_text_takes_long(text):
    assert read_list(text)
