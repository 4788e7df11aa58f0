import calendar
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.validators import (
    ConditionResult,
    Conditions,
    EntityTag,
    evaluate,
    format_http_date,
    is_strong_match,
    is_weak_match,
    parse_entity_tags,
    parse_http_date,
)

SERVE, SERVE_RANGE, NOT_MODIFIED, PRECONDITION_FAILED = ConditionResult

# The date of the examples in 5.6.7, a second earlier and a second later.
THEN_S = 784111777
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
THEN = "Sun, 06 Nov 1994 08:49:37 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"

TAG_LISTS = {
    "13.1.1 any": ("*", "*"),
    "13.1.1 any, with blanks": (" *\t", "*"),
    "13.1.1 example": ('"xyzzy"', ['"xyzzy"']),
    "13.1.1 example of several": (
        '"xyzzy", "r2d2xxxx", "c3piozzzz"',
        ['"xyzzy"', '"r2d2xxxx"', '"c3piozzzz"'],
    ),
    "13.1.2 example of weak ones": ('W/"xyzzy", W/"r2d2"', ['W/"xyzzy"', 'W/"r2d2"']),
    "8.8.3 an empty tag is one": ('""', ['""']),
    "8.8.3 a comma in a tag": ('"a,b","c"', ['"a,b"', '"c"']),
    "8.8.3 a backslash is no escape": (r'"a\","b"', [r'"a\"', '"b"']),
    "8.8.3 obs-text": ('"é"', ['"é"']),
    "8.8.3 the weak mark is case-sensitive": ('w/"a","b"', ['"b"']),
    "8.8.3 no blanks in a tag": ('"a b","c"', ['"c"']),
    "8.8.3 no DEL in a tag": ('"a\x7f","c"', ['"c"']),
    "8.8.3 nothing beyond obs-text": ('"€","c"', ['"c"']),
    "8.8.3 no blanks after the weak mark": ('W/ "a","c"', ['"c"']),
    "5.6.1 empty elements do not count": (', ,"a",,"b" ,\t', ['"a"', '"b"']),
    "5.6.1 an empty list": ("", []),
    "13.1.1 no * inside a list": ('*, "a"', ['"a"']),
    "ours: no quotes, no tag": ('a, "b", c', ['"b"']),
    "ours: no comma, no tag": ('"a" "b", "c"', ['"c"']),
    "ours: not closed": ('"a", "b', ['"a"']),
    "ours: a line break ends no tag": ('"a"\n', []),
}

HOSTILE = {
    "quotes": '"' * 100_000,
    "commas": "," * 100_000,
    "blanks": '"a"' + " " * 100_000 + "x",
    "quotes and commas": '",' * 50_000,
    "weak marks": 'W/"' * 33_000,
    "not closed": '"' + "a" * 100_000,
    "none closed": '"a,' * 33_000,
    "blanks between": '"a" ' * 25_000,
}

DATES = {
    "5.6.7 IMF-fixdate": (THEN, THEN_S),
    "5.6.7 obsolete RFC 850 format": ("Sunday, 06-Nov-94 08:49:37 GMT", THEN_S),
    "5.6.7 ANSI C's asctime() format": ("Sun Nov  6 08:49:37 1994", THEN_S),
    "5.6.7 asctime, two digits": ("Wed Nov 16 08:49:37 1994", THEN_S + 864_000),
    "5.6.7 a leap day": ("Sat, 29 Feb 2020 00:00:00 GMT", 1582934400),
    "5.6.7 a leap second": ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
    "5.6.7 before 1970": ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
    "5.5 surrounding blanks": (f" {THEN}\t", THEN_S),
    "5.6.7 no leap day": ("Fri, 29 Feb 2019 00:00:00 GMT", None),
    "5.6.7 no such day": ("Sun, 00 Nov 1994 08:49:37 GMT", None),
    "5.6.7 no such month": ("Sun, 06 Nuv 1994 08:49:37 GMT", None),
    "5.6.7 no such hour": ("Sun, 06 Nov 1994 24:00:00 GMT", None),
    "5.6.7 no such minute": ("Sun, 06 Nov 1994 08:60:00 GMT", None),
    "5.6.7 no such second": ("Sun, 06 Nov 1994 08:49:61 GMT", None),
    "5.6.7 no year 0": ("Sun, 06 Nov 0000 08:49:37 GMT", None),
    "5.6.7 case-sensitive": (THEN.lower(), None),
    "5.6.7 GMT only": ("Sun, 06 Nov 1994 08:49:37 UTC", None),
    "5.6.7 no offsets": ("Sun, 06 Nov 1994 08:49:37 +0000", None),
    "5.6.7 no other blanks": ("Sun, 06 Nov  1994 08:49:37 GMT", None),
    "5.6.7 two digits a day": ("Sun, 6 Nov 1994 08:49:37 GMT", None),
    "13.1.3 not more than one member": (f"{THEN}, {THEN}", None),
    "ours: only ASCII digits are numbers": ("Sun, ٠٦ Nov 1994 08:49:37 GMT", None),
    "ours: a line break is no blank": (f"{THEN}\n", None),
    "empty": ("", None),
    "an ISO date": ("1994-11-06T08:49:37Z", None),
    "100 kB": (f"{THEN}{' ' * 100_000}x", None),
}

# (now, the date's text, its year)
CENTURIES = {
    "5.6.7 not in the future": ((2026, 6, 1), "06-Nov-94", 1994),
    "5.6.7 this year": ((2026, 6, 1), "06-Nov-26", 2026),
    "5.6.7 up to 50 years in the future": ((2026, 6, 1), "01-Jun-76", 2076),
    "5.6.7 more than 50 years in the future": ((2026, 6, 1), "02-Jun-76", 1976),
    "5.6.7 a year more than 50 in the future": ((2026, 6, 1), "01-Jan-77", 1977),
    "5.6.7 in the next century": ((2099, 6, 1), "01-Jan-01", 2101),
}

# The representation has the tag "a" and was modified THEN; each case: method, headers, outcome.
EVALUATIONS = {
    "13.2.2 no conditions": ("GET", {}, SERVE),
    "13.2.2 no conditions on a range": ("GET", {"Range": "bytes=0-"}, SERVE_RANGE),
    "13.1.1 one of the tags": ("GET", {"If-Match": '"b", "a"'}, SERVE),
    "13.1.1 none of the tags": ("GET", {"If-Match": '"b", "c"'}, PRECONDITION_FAILED),
    "13.1.1 any": ("PUT", {"If-Match": "*"}, SERVE),
    "13.1.1 strong comparison": ("GET", {"If-Match": 'W/"a"'}, PRECONDITION_FAILED),
    "13.1.1 before the ranges": (
        "GET",
        {"If-Match": '"b"', "Range": "bytes=0-"},
        PRECONDITION_FAILED,
    ),
    "13.1.1 with the ranges": ("GET", {"If-Match": '"a"', "Range": "bytes=0-"}, SERVE_RANGE),
    "ours: a malformed If-Match matches nothing": (
        "DELETE",
        {"If-Match": "a"},
        PRECONDITION_FAILED,
    ),
    "ours: an empty If-Match matches nothing": ("DELETE", {"If-Match": ""}, PRECONDITION_FAILED),
    "13.1.4 not modified since": ("GET", {"If-Unmodified-Since": THEN}, SERVE),
    "13.1.4 modified since": ("GET", {"If-Unmodified-Since": BEFORE}, PRECONDITION_FAILED),
    "13.1.4 any method": ("DELETE", {"If-Unmodified-Since": BEFORE}, PRECONDITION_FAILED),
    "13.1.4 not a date": ("GET", {"If-Unmodified-Since": "0"}, SERVE),
    "13.1.4 ignored beside If-Match": (
        "GET",
        {"If-Match": '"a"', "If-Unmodified-Since": BEFORE},
        SERVE,
    ),
    "13.1.2 one of the tags": ("GET", {"If-None-Match": '"b", "a"'}, NOT_MODIFIED),
    "13.1.2 none of the tags": ("GET", {"If-None-Match": '"b"'}, SERVE),
    "13.1.2 any": ("GET", {"If-None-Match": "*"}, NOT_MODIFIED),
    "13.1.2 weak comparison": ("GET", {"If-None-Match": 'W/"a"'}, NOT_MODIFIED),
    "13.1.2 HEAD": ("HEAD", {"If-None-Match": '"a"'}, NOT_MODIFIED),
    "13.1.2 other methods": ("PUT", {"If-None-Match": "*"}, PRECONDITION_FAILED),
    "13.1.2 other methods, no match": ("PUT", {"If-None-Match": '"b"'}, SERVE),
    "13.2.2 If-None-Match before the ranges": (
        "GET",
        {"If-None-Match": '"a"', "Range": "bytes=0-"},
        NOT_MODIFIED,
    ),
    "13.2.2 If-None-Match, then the ranges": (
        "GET",
        {"If-None-Match": '"b"', "Range": "bytes=0-"},
        SERVE_RANGE,
    ),
    "13.2.2 If-Match before If-None-Match": (
        "GET",
        {"If-Match": '"b"', "If-None-Match": '"a"'},
        PRECONDITION_FAILED,
    ),
    "13.2.2 If-Match, then If-None-Match": (
        "GET",
        {"If-Match": '"a"', "If-None-Match": '"a"'},
        NOT_MODIFIED,
    ),
    "13.2.2 If-Unmodified-Since, then If-None-Match": (
        "GET",
        {"If-Unmodified-Since": THEN, "If-None-Match": '"a"'},
        NOT_MODIFIED,
    ),
    "ours: a malformed If-None-Match matches nothing": ("GET", {"If-None-Match": "a"}, SERVE),
    "13.1.3 not modified since": ("GET", {"If-Modified-Since": THEN}, NOT_MODIFIED),
    "13.1.3 not modified since a later date": ("GET", {"If-Modified-Since": AFTER}, NOT_MODIFIED),
    "13.1.3 modified since": ("GET", {"If-Modified-Since": BEFORE}, SERVE),
    "13.1.3 HEAD": ("HEAD", {"If-Modified-Since": THEN}, NOT_MODIFIED),
    "13.1.3 ignored by other methods": ("POST", {"If-Modified-Since": THEN}, SERVE),
    "13.1.3 not a date": ("GET", {"If-Modified-Since": "yesterday"}, SERVE),
    "13.1.3 ignored beside If-None-Match": (
        "GET",
        {"If-None-Match": '"b"', "If-Modified-Since": THEN},
        SERVE,
    ),
    "13.2.2 If-Unmodified-Since, then If-Modified-Since": (
        "GET",
        {"If-Unmodified-Since": THEN, "If-Modified-Since": THEN},
        NOT_MODIFIED,
    ),
    "13.1.5 the same tag": ("GET", {"If-Range": '"a"', "Range": "bytes=0-"}, SERVE_RANGE),
    "13.1.5 the same tag, with blanks": (
        "GET",
        {"If-Range": ' "a"\t', "Range": "bytes=0-"},
        SERVE_RANGE,
    ),
    "13.1.5 another tag": ("GET", {"If-Range": '"b"', "Range": "bytes=0-"}, SERVE),
    "13.1.5 a weak tag": ("GET", {"If-Range": 'W/"a"', "Range": "bytes=0-"}, SERVE),
    "13.1.5 no list": ("GET", {"If-Range": '"a", "b"', "Range": "bytes=0-"}, SERVE),
    "13.1.5 no *": ("GET", {"If-Range": "*", "Range": "bytes=0-"}, SERVE),
    "13.1.5 a date that is no strong validator": (
        "GET",
        {"If-Range": THEN, "Range": "bytes=0-"},
        SERVE,
    ),
    "13.1.5 ignored without Range": ("GET", {"If-Range": '"a"'}, SERVE),
    "13.2.2 If-None-Match before If-Range": (
        "GET",
        {"If-None-Match": '"a"', "If-Range": '"b"', "Range": "bytes=0-"},
        NOT_MODIFIED,
    ),
    "14.2 Range is for GET: not HEAD": ("HEAD", {"Range": "bytes=0-"}, SERVE),
    "14.2 Range is for GET: not POST": ("POST", {"If-Range": '"a"', "Range": "bytes=0-"}, SERVE),
    "13.2.1 OPTIONS has no conditions": ("OPTIONS", {"If-Match": '"b"'}, SERVE),
    "13.2.1 CONNECT has no conditions": ("CONNECT", {"If-Match": '"b"'}, SERVE),
    "13.2.1 TRACE has no conditions": ("TRACE", {"If-None-Match": "*"}, SERVE),
    "9.1 methods are case-sensitive": ("get", {"Range": "bytes=0-"}, SERVE),
}

# The same for a representation without validators.
WITHOUT_VALIDATORS = {
    "13.1.1 any": ({"If-Match": "*"}, SERVE),
    "13.1.1 no tag to match": ({"If-Match": '""'}, PRECONDITION_FAILED),
    "13.1.2 any": ({"If-None-Match": "*"}, NOT_MODIFIED),
    "13.1.2 no tag to match": ({"If-None-Match": '""'}, SERVE),
    "13.1.3 ignored without a modification date": ({"If-Modified-Since": AFTER}, SERVE),
    "13.1.4 ignored without a modification date": ({"If-Unmodified-Since": BEFORE}, SERVE),
    "13.1.5 a tag": ({"If-Range": '"a"', "Range": "bytes=0-"}, SERVE),
    "13.1.5 a date": ({"If-Range": THEN, "Range": "bytes=0-"}, SERVE),
}

IF_RANGE_DATES = {
    "13.1.5 exactly the same": (THEN, SERVE_RANGE),
    "13.1.5 earlier": (BEFORE, SERVE),
    "13.1.5 later": (AFTER, SERVE),
    "13.1.5 neither a date nor a tag": ("a", SERVE),
}

# 8.8.3.2 has this table.
COMPARISONS = {
    'W/"1" W/"1"': (EntityTag("1", weak=True), EntityTag("1", weak=True), False, True),
    'W/"1" W/"2"': (EntityTag("1", weak=True), EntityTag("2", weak=True), False, False),
    'W/"1" "1"': (EntityTag("1", weak=True), EntityTag("1"), False, True),
    '"1" W/"1"': (EntityTag("1"), EntityTag("1", weak=True), False, True),
    '"1" "1"': (EntityTag("1"), EntityTag("1"), True, True),
    '"1" "2"': (EntityTag("1"), EntityTag("2"), False, False),
}


@pytest.mark.parametrize(("header", "want"), TAG_LISTS.values(), ids=TAG_LISTS.keys())
def test_parse_entity_tags(header, want):
    tags = parse_entity_tags(header)
    assert (tags if tags == "*" else [str(tag) for tag in tags]) == want


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_list_of_100_kb_takes_linear_time(header):
    started_s = time.process_time()
    parse_entity_tags(header)
    # Some 20 ms; a quadratic scan takes minutes.
    assert time.process_time() - started_s < 2


@pytest.mark.parametrize("opaque", ['a"b', "a b", "a\r\n", "a\n", "\x7f", "€"])
def test_8_8_3_what_a_tag_may_not_hold(opaque):
    with pytest.raises(ValueError):
        EntityTag(opaque)


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"), COMPARISONS.values(), ids=COMPARISONS.keys()
)
def test_8_8_3_2_comparison(one, other, strong, weak):
    assert is_strong_match(one, other) is strong
    assert is_weak_match(one, other) is weak


@pytest.mark.parametrize(("text", "want"), DATES.values(), ids=DATES.keys())
def test_parse_http_date(text, want):
    assert parse_http_date(text, now_s=1_800_000_000) == want


@pytest.mark.parametrize(("now", "day", "year"), CENTURIES.values(), ids=CENTURIES.keys())
def test_century_of_two_digits(now, day, year):
    now_s = parse_http_date(f"Mon, {now[2]:02} Jun {now[0]} 00:00:00 GMT")
    date_s = parse_http_date(f"Sunday, {day} 00:00:00 GMT", now_s=now_s)
    assert time.gmtime(date_s).tm_year == year


def test_century_by_the_clock():
    this_year = time.gmtime().tm_year
    date_s = parse_http_date(f"Sunday, 15-Jun-{this_year % 100:02} 00:00:00 GMT")
    assert time.gmtime(date_s).tm_year == this_year


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month_has_its_name(month):
    time_s = calendar.timegm((2023, month, 15, 0, 0, 0))
    assert parse_http_date(format_http_date(time_s)) == time_s


def test_format_http_date_rounds_down():
    assert format_http_date(THEN_S) == THEN
    assert format_http_date(THEN_S + 0.9999999) == THEN
    assert format_http_date(-0.5) == "Wed, 31 Dec 1969 23:59:59 GMT"


def test_conditions_are_read_by_name():
    headers = {
        "If-Match": "1",
        "If-None-Match": "2",
        "If-Modified-Since": "3",
        "If-Unmodified-Since": "4",
        "If-Range": "5",
        "Range": "6",
    }
    assert Conditions.read(headers.get) == Conditions("1", "2", "3", "4", "5", "6")
    assert Conditions.read({}.get) == Conditions()


@pytest.mark.parametrize("fraction", [0, 0.75], ids=["whole", "fraction"])
@pytest.mark.parametrize(
    ("method", "headers", "want"), EVALUATIONS.values(), ids=EVALUATIONS.keys()
)
def test_evaluate(method, headers, want, fraction):
    conditions = Conditions.read(headers.get)
    assert evaluate(method, conditions, EntityTag("a"), THEN_S + fraction) is want


@pytest.mark.parametrize(
    ("headers", "want"), WITHOUT_VALIDATORS.values(), ids=WITHOUT_VALIDATORS.keys()
)
@pytest.mark.parametrize("strong", [False, True])
def test_evaluate_without_validators(headers, want, strong):
    conditions = Conditions.read(headers.get)
    assert evaluate("GET", conditions, None, None, last_modified_is_strong=strong) is want


@pytest.mark.parametrize(("if_range", "want"), IF_RANGE_DATES.values(), ids=IF_RANGE_DATES.keys())
def test_if_range_of_a_date_that_is_strong(if_range, want):
    conditions = Conditions(if_range=if_range, range="bytes=0-")
    got = evaluate("GET", conditions, None, THEN_S + 0.75, last_modified_is_strong=True)
    assert got is want


def test_13_1_5_a_weak_tag_of_ours_never_continues():
    for if_range in ('"a"', 'W/"a"'):
        conditions = Conditions(if_range=if_range, range="bytes=0-")
        assert evaluate("GET", conditions, EntityTag("a", weak=True), THEN_S) is SERVE


opaques = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc", "Zs"])).map(
    lambda text: text.replace('"', "")
)
tags = st.builds(EntityTag, opaques, st.booleans())
fields = st.none() | st.text() | st.sampled_from(["*", '"a"', 'W/"a"', THEN, BEFORE, "bytes=0-"])


@settings(deadline=None)
@given(st.lists(tags), st.sampled_from([",", ", ", " ,\t,"]))
def test_written_tags_are_read_back(tags, comma):
    assert parse_entity_tags(comma.join(map(str, tags))) == tuple(tags)


@settings(deadline=None)
@given(st.integers(-62135596800, 253402300799))
def test_written_dates_are_read_back(time_s):
    assert parse_http_date(format_http_date(time_s)) == time_s


@settings(deadline=None)
@given(st.text() | st.text('W/"a,* \t'))
def test_any_text_is_tags(header):
    found = parse_entity_tags(header)
    assert found == "*" or all(str(tag) in header for tag in found)


@settings(deadline=None)
@given(st.from_regex(r"[A-Z][a-z]{2}, [0-3][0-9] [JFMASOND][a-z]{2} [0-9]{4} [0-9:]{8} GMT"))
def test_what_looks_like_a_date_is_one_or_none(text):
    assert parse_http_date(text) is None or parse_http_date(text) > -(10**11)


@settings(deadline=None)
@given(
    st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]),
    st.builds(Conditions, *[fields] * 6),
    st.none() | tags,
    st.none() | st.floats(0, 4e9),
)
def test_any_request_has_an_outcome(method, conditions, etag, last_modified_s):
    outcome = evaluate(method, conditions, etag, last_modified_s)
    if outcome is SERVE_RANGE:
        assert method == "GET"
        assert conditions.range is not None
    if outcome is NOT_MODIFIED:
        assert method in {"GET", "HEAD"}
