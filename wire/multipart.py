"""multipart/byteranges: several spans of one representation in one body.

Pure: makes the bytes around the spans, and knows the length of the body before it is sent; the
sender reads the spans. RFC 9110 15.3.7.2: never for a request that asks for one span.
Way in: ByteRanges. Source: RFC 9110, 14.6; RFC 2046, 5.1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wire.ranges import Span, content_range

# What RFC 2046 allows in a boundary and HTTP in a token, so that the parameter needs no quotes.
_BOUNDARY = re.compile(r"[0-9A-Za-z'+_.-]{1,70}")

# Printable ASCII only: a media type cannot end a header line.
_MEDIA_TYPE = re.compile(r"[ -~]+")


@dataclass(frozen=True, slots=True)
class ByteRanges:
    """A multipart/byteranges body of the given spans.

    spans: one or more, sent in this order. size: bytes in the representation, None when not known.
    media_type: of the representation; each part repeats it. boundary: 1 to 70 characters that are
    not in the representation: the caller takes 128 random bits, so that nobody can guess it.
    Raises ValueError for no spans, or a boundary or media type that would break the framing.
    """

    spans: tuple[Span, ...]
    size: int | None
    media_type: str
    boundary: str

    def __post_init__(self) -> None:
        if not self.spans:
            raise ValueError("a multipart body needs at least one span")
        if not _BOUNDARY.fullmatch(self.boundary):
            raise ValueError("boundary must be 1 to 70 of the characters 0-9 A-Z a-z ' + _ . -")
        if not _MEDIA_TYPE.fullmatch(self.media_type):
            raise ValueError("media_type must be printable ASCII")

    @property
    def content_type(self) -> str:
        """The response's Content-Type; the response itself has no Content-Range (15.3.7.2)."""
        return f"multipart/byteranges; boundary={self.boundary}"

    @property
    def content_length(self) -> int:
        """The exact length of the body, from the spans alone."""
        return sum(
            len(piece) if isinstance(piece, bytes) else piece.stop - piece.start
            for piece in self.pieces()
        )

    def pieces(self) -> Iterator[bytes | Span]:
        """Yield what to send, in order: a part's head, its span, …, the closing delimiter.

        An item is bytes to send (under 300 and the media type), or a span of the representation.
        close() has nothing to free.
        """
        for index, span in enumerate(self.spans):
            yield self._head(span, first=index == 0)
            yield span
        yield f"\r\n--{self.boundary}--\r\n".encode("ascii")

    def _head(self, span: Span, *, first: bool) -> bytes:
        # The line break before a delimiter belongs to the delimiter; the first needs none.
        line_break = "" if first else "\r\n"
        return (
            f"{line_break}--{self.boundary}\r\n"
            f"Content-Type: {self.media_type}\r\n"
            f"Content-Range: {content_range(span, self.size)}\r\n"
            "\r\n"
        ).encode("ascii")
