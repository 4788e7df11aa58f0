import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.ranges import (
    MAX_HEADER_CHARS,
    MAX_SPANS,
    IntRange,
    Span,
    SuffixRange,
    UnsatisfiableRange,
    content_range,
    parse_range,
    parse_range_spec,
    resolve,
    unsatisfied_range,
)

CASES = {
    "14.2 no Range header": (None, None),
    "14.1 unit names are case-insensitive": ("ByTeS=0-9", [(0, 10)]),
    "14.2 unknown unit is ignored": ("items=0-9", None),
    "14.1 a unit is a whole token": ("kilobytes=0-9", None),
    "14.1.1 a ranges-specifier has a unit": ("0-9", None),
    "14.1.1 no blanks before =": ("bytes =0-9", None),
    "14.1.2 byte offsets start at zero": ("bytes=0-0", [(0, 1)]),
    "14.1.2 both positions are inclusive": ("bytes=10-19", [(10, 20)]),
    "14.1.2 last absent means to the end": ("bytes=90-", [(90, 100)]),
    "14.1.2 last past the end is clipped": ("bytes=90-999", [(90, 100)]),
    "14.1.2 last at the end is clipped": ("bytes=0-100", [(0, 100)]),
    "14.1.2 last byte": ("bytes=99-99", [(99, 100)]),
    "14.1.2 suffix": ("bytes=-5", [(95, 100)]),
    "14.1.2 suffix longer than the whole": ("bytes=-500", [(0, 100)]),
    "14.1.2 one satisfiable span is enough": ("bytes=0-0,200-300", [(0, 1)]),
    "14.1.2 a suffix of zero beside a satisfiable span": ("bytes=-0,5-5", [(5, 6)]),
    "14.1.2 example with blanks after =": (
        "bytes= 0-9, 20-29, -10",
        [(0, 10), (20, 30), (90, 100)],
    ),
    "14.1.2 large numerals are anticipated": (f"bytes=0-{'9' * 18}", [(0, 100)]),
    "14.1.1 last less than first is invalid": ("bytes=9-8", None),
    "14.1.1 one invalid spec spoils the header": ("bytes=0-0,9-8", None),
    "14.1.1 an other-range is invalid for bytes": ("bytes=0-0,all", None),
    "14.1.1 a hyphen alone": ("bytes=-", None),
    "14.1.1 a number alone": ("bytes=5", None),
    "14.1.1 two hyphens": ("bytes=1-2-3", None),
    "14.1.1 no blanks inside a spec": ("bytes=1 -2", None),
    "5.6.1 blanks and tabs around commas": ("bytes=0-0 ,\t2-2 ", [(0, 1), (2, 3)]),
    "5.6.1 empty elements do not count": ("bytes=,0-0,, ,2-2,", [(0, 1), (2, 3)]),
    "5.6.1 at least one element": ("bytes=, ,", None),
    "14.1.1 an empty set": ("bytes=", None),
    "15.3.7.2 the order asked is kept": ("bytes=50-59,0-9", [(50, 60), (0, 10)]),
    "15.3.7.2 adjacent spans stay apart": ("bytes=0-9,10-19", [(0, 10), (10, 20)]),
    "15.3.7.2 overlapping spans stay apart": ("bytes=0-9,5-14", [(0, 10), (5, 15)]),
    "14.2 spans that are the whole together": ("bytes=50-,0-49", [(50, 100), (0, 50)]),
    "14.2 spans that are more than the whole": ("bytes=50-,0-50", None),
    "ours: only ASCII digits are numbers": ("bytes=+1-1_0", None),
    "ours: only ASCII digits, not Arabic ones": ("bytes=٠-٩", None),
    "ours: only ASCII letters, not a long s": ("byteſ=0-9", None),
    "ours: a line break is no blank": ("bytes=0-9\n", None),
    "ours: a number beyond every size is malformed": (f"bytes={'9' * 19}-", None),
    "ours: as many spans as are allowed": (
        "bytes=" + ",".join(["1-1"] * MAX_SPANS),
        [(1, 2)] * MAX_SPANS,
    ),
    "ours: one span more": ("bytes=" + ",".join(["1-1"] * (MAX_SPANS + 1)), None),
    "ours: as long as is allowed": ("bytes=0-0".ljust(MAX_HEADER_CHARS, ","), [(0, 1)]),
    "ours: one character more": ("bytes=0-0".ljust(MAX_HEADER_CHARS + 1, ","), None),
}

UNSATISFIABLE = {
    "14.1.2 first at the end": "bytes=100-",
    "14.1.2 first past the end": "bytes=100-199",
    "14.1.2 a suffix of zero": "bytes=-0",
    "15.5.17 none of several": "bytes=-0,100-,200-300",
}

HOSTILE = {
    "many specs": "bytes=" + "0-0," * 25_000,
    "many commas": "bytes=" + "," * 100_000,
    "many blanks": "bytes=" + " " * 100_000 + "0-0",
    "many digits": "bytes=" + "9" * 100_000,
    "many hyphens": "bytes=" + "-" * 100_000,
    "a long unit": "b" * 100_000,
}


@pytest.mark.parametrize(("header", "want"), CASES.values(), ids=CASES.keys())
def test_parse_range_of_100_bytes(header, want):
    assert parse_range(header, 100) == want


@pytest.mark.parametrize("header", UNSATISFIABLE.values(), ids=UNSATISFIABLE.keys())
def test_range_outside_of_100_bytes(header):
    with pytest.raises(UnsatisfiableRange, match="100"):
        parse_range(header, 100)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-9", "items=0-"])
def test_14_2_an_empty_representation_is_served_whole(header):
    assert parse_range(header, 0) is None


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_header_of_100_kb_is_served_whole(header):
    assert parse_range(header, 100) is None


def test_specs_are_read_before_the_size_is_known():
    specs = parse_range_spec("bytes=0-9, 20-, -5")
    assert specs == [IntRange(0, 9), IntRange(20, None), SuffixRange(5)]
    assert [type(spec) for spec in specs] == [IntRange, IntRange, SuffixRange]


def test_specs_are_resolved_as_the_representation_grows():
    specs = parse_range_spec("bytes=50-")
    assert specs is not None
    with pytest.raises(UnsatisfiableRange):
        resolve(specs, 50)
    assert resolve(specs, 51) == [Span(50, 51)]
    assert resolve(specs, 99) == [Span(50, 99)]


def test_14_4_content_range():
    assert content_range(Span(0, 10), 100) == "bytes 0-9/100"
    assert content_range(Span(42, 1234), None) == "bytes 42-1233/*"
    assert unsatisfied_range(47022) == "bytes */47022"


numbers = st.integers(0, 10**18 - 1) | st.integers(0, 120)
specs = st.one_of(
    st.builds(lambda first, more: f"{first}-{first + more}", st.integers(0, 120), numbers),
    st.builds("{}-".format, numbers),
    st.builds("-{}".format, numbers),
)
headers = st.lists(specs, min_size=1, max_size=MAX_SPANS).map(lambda s: "bytes=" + ",".join(s))


@settings(deadline=None)
@given(headers, st.integers(0, 150))
def test_spans_are_inside_the_representation_and_no_more_than_it(header, size):
    try:
        spans = parse_range(header, size)
    except UnsatisfiableRange:
        return
    if spans is not None:
        assert spans
        assert all(0 <= span.start < span.stop <= size for span in spans)
        assert sum(span.stop - span.start for span in spans) <= size


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 99))
def test_every_span_can_be_asked_for(one, other):
    first, last = sorted((one, other))
    assert parse_range(f"bytes={first}-{last}", 100) == [(first, last + 1)]


@settings(deadline=None)
@given(st.text() | st.text("bytes=0123456789-, \t").map("bytes={}".format), st.integers(0, 200))
def test_any_text_is_spans_or_nothing(header, size):
    try:
        parse_range(header, size)
    except UnsatisfiableRange:
        assert parse_range_spec(header) is not None
