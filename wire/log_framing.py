"""Framings of logs as text, and of a filtered feed.

Pure. Framings as in wire/framing.py. Way in: LOG_TEXT, FilteredFraming.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from wire.events import GAP, RECONNECT, parts_of
from wire.framing import Framing
from wire.log_lines import cut_of, is_gap, text_of


class LogText:
    """A line of the log is a line. Notices of the server begin with `# `.

    A heartbeat is a blank line.
    """

    transport = "text"
    between = b""

    def events(self, lines: Sequence[bytes]) -> bytes:
        return b"".join(
            [self.notice(GAP, line) if is_gap(line) else _text_line(line) for line in lines]
        )

    def notice(self, name: str, line: bytes) -> bytes:
        if name not in (GAP, RECONNECT):
            return b"\n"
        data = json.loads(parts_of(line).data)
        if name == RECONNECT:
            return b"# reconnect: the server restarts, come back in %d ms\n" % data["after_ms"]
        lost = "lines" if data["lost"] is None else f"{data['lost']} lines"
        return f"# gap: {lost} lost ({data['reason']})\n".encode()


def _text_line(event: bytes) -> bytes:
    text = text_of(event)
    if cut := cut_of(event):
        return b"%b [%d bytes cut]\n" % (text, cut)
    return text + b"\n"


class FilteredFraming:
    """Another framing of gaps and the events that are wanted; b"" where there are none.

    is_wanted: called with each event's line.
    """

    def __init__(self, inner: Framing, is_wanted: Callable[[bytes], bool]) -> None:
        self.transport = inner.transport
        self.between = inner.between
        self._inner = inner
        self._is_wanted = is_wanted

    def events(self, lines: Sequence[bytes]) -> bytes:
        wanted = [line for line in lines if is_gap(line) or self._is_wanted(line)]
        return self._inner.events(wanted) if wanted else b""

    def notice(self, name: str, line: bytes) -> bytes:
        return self._inner.notice(name, line)


LOG_TEXT = LogText()
