"""Lines of a growing file: bytes in, whole lines out, the unfinished one kept back and bounded.

Pure. Way in: LineCutter.
"""

from __future__ import annotations

from typing import NamedTuple

# A line of JSON with a stack trace is a few KiB. What is longer is cut, and says by how much.
MAX_LINE_BYTES = 16 * 1024


class LogLine(NamedTuple):
    """A line. text: without its line feed. end: the offset behind that. cut: bytes left out."""

    text: bytes
    end: int
    cut: int = 0


class LastLine(NamedTuple):
    """What a line was told as. text: see as_text. is_cut: only the beginning of it."""

    text: str
    is_cut: bool

    @classmethod
    def of(cls, line: LogLine) -> LastLine:
        return cls(as_text(line.text), line.cut > 0)

    def is_at(self, found: bytes, *, is_whole: bool) -> bool:
        """Is it this line? found: without its line feed; not is_whole: perhaps only its end."""
        if is_whole:
            return self.text == as_text(found)
        # A character may be cut at the beginning, or there is a hole.
        return self.is_cut or self.text.endswith(as_text(found.lstrip(b"\0")[3:]))


class Half(NamedTuple):
    """The beginning of a line whose end is not there yet. cut: bytes left out of text."""

    text: bytes = b""
    cut: int = 0

    def plus(self, more: bytes) -> Half:
        """Return it with more of the line; never more than MAX_LINE_BYTES of text."""
        if self.cut:
            return Half(self.text, self.cut + len(more))
        room = MAX_LINE_BYTES - len(self.text)
        if len(more) <= room:
            return Half(self.text + more)
        kept = _whole_characters(self.text + more[:room])
        return Half(kept, len(self.text) + len(more) - len(kept))


class LineCutter:
    """Cuts what is fed to it into lines.

    at: the offset up to which it was fed. half: what stands before that, behind the last line feed;
    or what it begins with, when a line began in another file.
    """

    def __init__(self, at: int, half: Half) -> None:
        self.at = at
        self.half = half

    def feed(self, data: bytes) -> list[LogLine]:
        """Return the lines that data, which stands at `at`, has finished."""
        *ended, rest = data.split(b"\n")
        lines = []
        end = self.at
        for piece in ended:
            end += len(piece) + 1
            if self.half.text or len(piece) > MAX_LINE_BYTES:
                whole, self.half = self.half.plus(piece), Half()
                lines.append(LogLine(whole.text, end, whole.cut))
            else:
                lines.append(LogLine(piece, end))
        self.at += len(data)
        if rest:
            self.half = self.half.plus(rest)
        return lines

    def finish(self) -> list[LogLine]:
        """Return the half line as a line: nothing will come behind it."""
        half, self.half = self.half, Half()
        return [LogLine(half.text, self.at, half.cut)] if half.text else []


def as_text(line: bytes) -> str:
    r"""Return what a line says; bytes that are not UTF-8 become escapes: \xff."""
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
