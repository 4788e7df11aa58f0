"""Lines of a growing file: bytes in, whole lines out; the unfinished line is held and bounded.

A line ends with a line feed, or a carriage return and a line feed; neither belongs to its text, nor
does a byte order mark at the beginning of a file. UTF-16 becomes UTF-8; offsets remain those of the
file. Pure. Way in: LineCutter.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

# A line of JSON with a stack trace is a few KiB. A longer line is cut, and tells by how much.
MAX_LINE_BYTES = 16 * 1024


class LogLine(NamedTuple):
    """A line. text: without its end, in UTF-8. end: the offset behind it. cut: bytes left out."""

    text: bytes
    end: int
    cut: int = 0


class LastLine(NamedTuple):
    """A line as it was published. text: see as_text. is_cut: text is only its beginning."""

    text: str
    is_cut: bool

    @classmethod
    def of(cls, line: LogLine) -> LastLine:
        return cls(as_text(line.text), line.cut > 0)

    def is_at(self, found: bytes, *, is_whole: bool) -> bool:
        """Is found this line? found: without its line feed; not is_whole: perhaps only its end."""
        # An older server published the line with its carriage return.
        text, found = self.text.rstrip("\r"), found.rstrip(b"\r")
        if is_whole:
            return text == as_text(found)
        # A character may be cut at the beginning, or there is a hole, or a byte order mark.
        return self.is_cut or text.endswith(as_text(found.lstrip(b"\0")[3:]))


class Half(NamedTuple):
    """The beginning of a line without its end. cut: bytes left out of text.

    has_return: a carriage return follows all that, and a line feed may follow it.
    """

    text: bytes = b""
    cut: int = 0
    has_return: bool = False

    def plus(self, more: bytes) -> Half:
        """Return the half line with more bytes; never more than MAX_LINE_BYTES of text."""
        if not more:
            return self
        has_return = more.endswith(b"\r")
        more = b"\r" * self.has_return + more[: len(more) - has_return]
        if self.cut:
            return Half(self.text, self.cut + len(more), has_return)
        room = MAX_LINE_BYTES - len(self.text)
        if len(more) <= room:
            return Half(self.text + more, 0, has_return)
        kept = _whole_characters(self.text + more[:room])
        return Half(kept, len(self.text) + len(more) - len(kept), has_return)


_NOTHING = Half()


class LineCutter:
    """Cuts bytes into lines.

    at: the offset behind the last bytes that it was given. half: the bytes before that, behind the
    last line feed; or the beginning of a line that began in another file. utf16: the codec's name
    if the file is in UTF-16, None otherwise.
    """

    def __init__(self, at: int, half: Half, utf16: str | None = None) -> None:
        self.at = at
        self.half = half
        # A line that began in another file has no byte order mark before it.
        self._is_first = not at and half == _NOTHING
        self._utf16 = utf16
        # Holds half a unit, or half a pair of surrogates, until the rest arrives.
        self._decoder = codecs.getincrementaldecoder(utf16)("surrogatepass") if utf16 else None

    def feed(self, data: bytes) -> list[LogLine]:
        """Return the lines that end in data, which begins at `at`."""
        text, end = data, self.at
        if self._decoder is not None:
            end -= len(self._decoder.getstate()[0])
            text = self._decoder.decode(data).encode("utf-8", "surrogatepass")
        *ended, rest = text.split(b"\n")
        lines = []
        for piece in ended:
            end += self._size_of(piece) + self._size_of(b"\n")
            if self.half != _NOTHING or len(piece) > MAX_LINE_BYTES:
                whole, self.half = self.half.plus(piece), _NOTHING
                lines.append(LogLine(whole.text, end, whole.cut))
            else:
                lines.append(LogLine(piece.removesuffix(b"\r"), end))
        self.at += len(data)
        if lines and self._is_first:
            lines[0] = _without_mark(lines[0])
            self._is_first = False
        if rest:
            self.half = self.half.plus(rest)
        return lines

    def finish(self) -> list[LogLine]:
        """Return the half line as a line: no more bytes of it will come."""
        half, self.half = self.half, _NOTHING
        line = LogLine(half.text + b"\r" * half.has_return, self.at, half.cut)
        if self._is_first:
            line = _without_mark(line)
        return [line] if line.text else []

    def _size_of(self, text: bytes) -> int:
        """Return how many bytes text takes in the file."""
        if self._utf16 is None:
            return len(text)
        return len(text.decode("utf-8", "surrogatepass").encode(self._utf16, "surrogatepass"))


def _without_mark(line: LogLine) -> LogLine:
    return line._replace(text=line.text.removeprefix(codecs.BOM_UTF8))


def as_utf8(data: bytes, utf16: str | None) -> bytes:
    """Return data of a file in UTF-8, as a LineCutter does, without half a unit at the end."""
    if utf16 is None:
        return data
    text = codecs.getincrementaldecoder(utf16)("surrogatepass").decode(data)
    return text.encode("utf-8", "surrogatepass")


def as_text(line: bytes) -> str:
    r"""Return the text of a line; bytes that are not UTF-8 become escapes: \xff."""
    return line.decode("utf-8", "backslashreplace")


def _whole_characters(text: bytes) -> bytes:
    """Return text without the beginning of a UTF-8 character at its end."""
    for back in range(1, 4):
        byte = text[-back]
        if byte >= 0xC0:
            is_whole = back >= (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
            return text if is_whole else text[:-back]
        if byte < 0x80:
            break
    return text
