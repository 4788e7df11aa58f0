"""What can be wrong with text from outside, when being wrong is not an ordinary outcome.

Pure. Most parsers of this package return None for what they cannot use, because HTTP says to ignore
it; only what a client must be told about is raised.
"""

from __future__ import annotations


class WireError(ValueError):
    """The other side sent text that cannot be obeyed.

    WireError
    ├── UnsatisfiableRange   wire.ranges: a valid Range header that names no byte that exists
    ├── MalformedCursor      wire.cursors: the text is not a cursor that format_cursor wrote
    ├── MalformedEvent       wire.events: what was sent is no event, or too large a one
    └── UnknownWord          wire.words: a query has a word that says nothing there

    What our own code does wrong (a line break in a media type, a negative position) is a plain
    ValueError, so that no table from errors to answers turns a bug of ours into a client's fault.
    """
