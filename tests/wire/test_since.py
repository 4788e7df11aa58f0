import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.cursors import Cursor, MalformedCursor, format_cursor
from wire.since import After, Age, All, Now, parse_since

CURSOR = Cursor(1, 2, 3, 4)
TEXT = format_cursor(CURSOR)

SINCE = {
    "absent is now": (None, Now()),
    "empty is now": ("", Now()),
    "all": ("all", All()),
    "a cursor": (TEXT, After(CURSOR, TEXT)),
    "milliseconds": ("250ms", Age(0.25)),
    "seconds": ("30s", Age(30)),
    "minutes": ("5m", Age(300)),
    "hours": ("2h", Age(7200)),
    "days": ("1d", Age(86400)),
    "no age at all": ("0s", Age(0)),
    "31,000 years": ("999999999h", Age(999999999 * 3600)),
}

MALFORMED = {
    "a number without a unit": "30",
    "a unit without a number": "s",
    "another unit": "1w",
    "upper case": "5M",
    "ALL": "ALL",
    "a sign": "-5m",
    "a fraction": "1.5h",
    "ten digits": "1000000000s",
    "two ages": "1h30m",
    "a blank": " 5m",
    "a line break": "5m\n",
    "a digit that is not ASCII": "٥m",
    "a short cursor": TEXT[1:],
    "a cursor in upper case": TEXT.upper().replace("0", "V"),
    "100 kB": "5" * 100_000,
}


@pytest.mark.parametrize(("text", "want"), SINCE.values(), ids=SINCE.keys())
def test_where_to_begin(text, want):
    got = parse_since(text)
    assert (type(got), got) == (type(want), want)


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_anything_else_is_refused_with_what_would_be_right(text):
    with pytest.raises(
        MalformedCursor, match="since is a cursor, all, or an age like 30s"
    ) as caught:
        parse_since(text)
    assert len(str(caught.value)) < 250


@given(st.text(max_size=40))
def test_no_text_does_anything_else(text):
    try:
        parse_since(text)
    except MalformedCursor as error:
        assert "since is" in str(error)  # noqa: PT017 (most texts raise, some do not)
