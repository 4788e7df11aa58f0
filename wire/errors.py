"""Errors in text from clients.

Pure. Most parsers of this package return None for text that is malformed, because HTTP says to
ignore it; they raise only errors that the client must learn of.
"""

from __future__ import annotations


class WireError(ValueError):
    """The client sent text that is malformed or cannot be satisfied.

    WireError
    ├── UnsatisfiableRange   wire.ranges: a valid Range header that names no byte that exists
    ├── MalformedCursor      wire.cursors: the text is not one that format_cursor returns
    ├── MalformedEvent       wire.events: the text is no event, or too large
    └── UnknownParameter     wire.parameters: a query has a parameter that is not known there

    Mistakes of our own code (a line break in a media type, a negative position) are plain
    ValueErrors, so that no table of errors and answers blames the client for a bug of ours.
    """
