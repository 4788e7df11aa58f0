import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.filenames import content_disposition

CASES = {
    "textbook contract": ("users.csv", 'attachment; filename="users.csv"'),
    "RFC 8187 3.2.1 attr-chars stay as they are": (
        "aZ09!#$&+-.^_`|~",
        'attachment; filename="aZ09!#$&+-.^_`|~"',
    ),
    "RFC 6266 5 example": (
        "€ rates",
        "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates",
    ),
    "RFC 6266 D blanks are quoted": (
        "late flights.csv",
        "attachment; filename=\"late flights.csv\"; filename*=UTF-8''late%20flights.csv",
    ),
    "RFC 6266 D an accent leaves its letter": (
        "naïve.csv",
        "attachment; filename=\"naive.csv\"; filename*=UTF-8''na%C3%AFve.csv",
    ),
    "RFC 6266 D no percent sign that agents decode": (
        "100%41.csv",
        "attachment; filename=\"100_41.csv\"; filename*=UTF-8''100%2541.csv",
    ),
    "RFC 6266 D no quotes that need an escape": (
        'say "hi";.txt',
        "attachment; filename=\"say _hi__.txt\"; filename*=UTF-8''say%20%22hi%22%3B.txt",
    ),
    "RFC 6266 4.3 no path": ("../etc\\passwd", 'attachment; filename=".._etc_passwd"'),
    "RFC 6266 4.3 no path by decomposing": (
        "a／b＂c",
        "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%EF%BC%8Fb%EF%BC%82c",
    ),
    "RFC 8187 3.2.1 outside of attr-char": (
        "a*'()%.csv",
        "attachment; filename=\"a_'()_.csv\"; filename*=UTF-8''a%2A%27%28%29%25.csv",
    ),
    "RFC 9110 5.5 no CR, LF or NUL": ("a\r\nb\0c", 'attachment; filename="a__b_c"'),
    "RFC 9110 5.5 no other control": ("a\x1f\x7f\x85\x9fb", 'attachment; filename="a____b"'),
    "RFC 3629 3 no lone surrogates": (
        "a\udcff.csv",
        "attachment; filename=\"a_.csv\"; filename*=UTF-8''a%EF%BF%BD.csv",
    ),
    "beyond the basic plane": ("🛫", "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%9B%AB"),
    "ours: no name": ("", 'attachment; filename="download"'),
    "ours: a folder's name": ("..", 'attachment; filename="download"'),
    "ours: blanks and dots": (". .", 'attachment; filename="download"'),
    "ours: a folder's name by decomposing": (
        "．．",
        "attachment; filename=\"download\"; filename*=UTF-8''%EF%BC%8E%EF%BC%8E",
    ),
    "ours: a hidden file stays one": (".profile", 'attachment; filename=".profile"'),
}


@pytest.mark.parametrize(("name", "want"), CASES.values(), ids=CASES.keys())
def test_content_disposition(name, want):
    assert content_disposition(name) == want


def test_inline():
    assert content_disposition("a.csv", "inline") == 'inline; filename="a.csv"'


def parameters(value):
    """Read a header value by RFC 6266's grammar alone: filename, and filename* or None."""
    match = re.fullmatch(
        r'attachment; filename="(?P<plain>[^"\\]+)"(?:; filename\*=UTF-8\'\'(?P<encoded>.+))?',
        value,
    )
    assert match, value
    if match["encoded"] is not None:
        assert re.fullmatch(r"(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+", match["encoded"])
    return match["plain"], match["encoded"]


names = st.text(st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=["Cc"]))
hostile = st.text(st.characters() | st.sampled_from('/\\"%;\r\n\0\udc80．／'))


@settings(deadline=None)
@given(names.filter(lambda name: name.strip(". ")))
def test_the_name_can_be_read_back(name):
    plain, encoded = parameters(content_disposition(name))
    assert (plain if encoded is None else unquote(encoded, errors="strict")) == name


@settings(deadline=None)
@given(hostile)
def test_any_name_makes_a_header_that_is_safe(name):
    value = content_disposition(name)
    plain, encoded = parameters(value)
    assert re.fullmatch("[ -~]+", value)
    for saved in (plain, unquote(encoded or plain, errors="strict")):
        assert not re.search(r"[/\\\x00-\x1f\x7f-\x9f]", saved)
        assert saved.strip(". ")
    assert not re.search(r'[%"\\/]', plain)
