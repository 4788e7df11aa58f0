import email

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.multipart import ByteRanges
from wire.ranges import Span

# 14.6 has this example: two parts of a PDF of 8000 bytes.
EXAMPLE = ByteRanges(
    spans=(Span(500, 1000), Span(7000, 8000)),
    size=8000,
    media_type="application/pdf",
    boundary="THIS_STRING_SEPARATES",
)

REFUSED = {
    "RFC 2046 5.1.1 at least one part": {"spans": ()},
    "RFC 2046 5.1.1 a boundary is not empty": {"boundary": ""},
    "RFC 2046 5.1.1 a boundary has at most 70 characters": {"boundary": "b" * 71},
    "RFC 2046 5.1.1 a boundary does not end in a blank": {"boundary": "b "},
    "ours: a boundary needs no quotes": {"boundary": "a:b"},
    "ours: a boundary ends no line": {"boundary": "b\r\nX: y"},
    "ours: a boundary ends no line, even its own": {"boundary": "b\n"},
    "ours: a media type ends no line": {"media_type": "text/csv\r\nX: y"},
    "ours: a media type is ASCII": {"media_type": "text/é"},
    "ours: a media type is not empty": {"media_type": ""},
}


def body_of(ranges, whole):
    """What a client receives: each span replaced by its bytes."""
    return b"".join(p if isinstance(p, bytes) else whole[p.start : p.stop] for p in ranges.pieces())


def test_14_6_example():
    assert EXAMPLE.content_type == "multipart/byteranges; boundary=THIS_STRING_SEPARATES"
    assert list(EXAMPLE.pieces()) == [
        b"--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\n"
        b"Content-Range: bytes 500-999/8000\r\n\r\n",
        Span(500, 1000),
        b"\r\n--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\n"
        b"Content-Range: bytes 7000-7999/8000\r\n\r\n",
        Span(7000, 8000),
        b"\r\n--THIS_STRING_SEPARATES--\r\n",
    ]


def test_14_4_a_size_that_is_not_known():
    ranges = ByteRanges((Span(0, 1),), None, "text/csv", "b")
    assert b"Content-Range: bytes 0-0/*\r\n" in next(ranges.pieces())


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED.keys())
def test_what_would_break_the_framing_is_refused(wrong):
    right = {"spans": (Span(0, 1),), "size": 1, "media_type": "text/csv", "boundary": "b" * 70}
    ByteRanges(**right)
    with pytest.raises(ValueError):
        ByteRanges(**(right | wrong))


spans_of_100 = st.lists(
    st.tuples(st.integers(0, 99), st.integers(1, 100)).map(lambda s: Span(s[0], min(sum(s), 100))),
    min_size=1,
    max_size=16,
).map(tuple)
boundaries = st.text("abcXYZ019'+_.-", min_size=1, max_size=70)


@settings(deadline=None)
@given(spans_of_100, st.sampled_from([100, None]), boundaries)
def test_content_length_is_what_is_sent(spans, size, boundary):
    ranges = ByteRanges(spans, size, "text/csv; charset=utf-8", boundary)
    assert len(body_of(ranges, bytes(100))) == ranges.content_length


@settings(deadline=None)
@given(spans_of_100)
def test_a_mime_parser_finds_the_parts(spans):
    whole = bytes(range(100, 200))
    ranges = ByteRanges(spans, 100, "application/octet-stream", "5f0c9a7d3e8b4a61b2c3d4e5f6a7b8c9")
    head = f"Content-Type: {ranges.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body_of(ranges, whole))
    assert not message.defects
    parts = message.get_payload()
    assert [part["Content-Range"] for part in parts] == [
        f"bytes {start}-{stop - 1}/100" for start, stop in spans
    ]
    assert [part.get_payload(decode=True) for part in parts] == [whole[a:b] for a, b in spans]
