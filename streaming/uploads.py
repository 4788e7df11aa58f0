"""Events published while they are sent: a body of lines, acknowledged by receipts as it goes.

A line with a receipt is kept; a line without one was not, or nobody knows. The body is read as fast
as it is kept and as its receipts are taken, and no further. Knows no HTTP but the lines of the
answer. Way in: Upload.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from guard.turns import Turns, end_turn
from streaming.errors import ANSWERS, answer_of
from topics import KeyReused, Publication, Receipt
from wire.events import MAX_EVENT_BYTES, MalformedEvent, NewEvent, parse_keyed_event

# What is understood and kept in one go: they take about 3 ms; DESIGN.md: the hub never waits 5 ms.
GROUP_LINES = 1000
# So many lines count as one request of those that one may make in a minute: what a POST may have.
LINES_A_REQUEST = 10_000


class Asked(NamedTuple):
    """Who sends, and what becomes of it.

    read: returns what has come, b"" at the end; raises ConnectionError where the body was cut.
    publish: keeps publications in their order; returns each receipt, or why it is refused. note:
    counts a request of owner. is_open: whether anything is kept any more.
    """

    owner: str
    read: Callable[[], bytes]
    publish: Callable[[list[Publication]], list[Receipt | Exception]]
    note: Callable[[str], None]
    turns: Turns
    is_open: Callable[[], bool]


class Upload:
    """The answer to one upload: iterate over it for lines of JSON.

    One is a receipt, `id`, `topic`, `count` and `line`: up to that line everything is kept or was
    refused. One with `error` is a line that was refused, or says why the upload ends. The last one
    is `done`, if the whole body was read.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        # The lines before the present group, and the events that were kept.
        self._lines = 0
        self._count = 0
        self._counted_lines = 0
        self._until_s = 0.0

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._run()
        except ConnectionError as error:
            if self._asked.is_open():
                message = f"the body was cut: send it again from line {self._lines + 1} on: {error}"
                yield _line(error="upload_cut", message=message, status=400, **self._at())
            else:
                message = "the server is stopping: go on in a second"
                yield _line(error="not_ready", message=message, status=503, **self._at())
        except tuple(ANSWERS) as error:
            status, code = answer_of(error)
            yield _line(error=code, message=str(error), status=status, **self._at())
        finally:
            end_turn()

    def _at(self) -> dict[str, Any]:
        return {"detail": {}, "line": self._lines + 1}

    def _run(self) -> Iterator[bytes]:
        rest = b""
        while data := self._read():
            lines = (rest + data).split(b"\n")
            # Of a line that is too long, no more is kept than tells so.
            rest = lines.pop()[: MAX_EVENT_BYTES + 1]
            for start in range(0, len(lines), GROUP_LINES):
                yield from self._keep(lines[start : start + GROUP_LINES])
        if rest:
            yield from self._keep([rest])
        yield _line(done=True, lines=self._lines, count=self._count)

    def _read(self) -> bytes:
        end_turn()
        return self._asked.read()

    def _keep(self, lines: list[bytes]) -> Iterator[bytes]:
        """Publish lines and say what became of them. Raises what ends the upload."""
        asked = self._asked
        if self._lines >= self._counted_lines:
            asked.note(asked.owner)
            self._counted_lines += LINES_A_REQUEST
        self._until_s = asked.turns.go_on(asked.owner, self._until_s)
        refused: list[tuple[int, Exception]] = []
        groups = list(_groups(self._parse(lines, refused), asked.owner))
        receipts = asked.publish([publication for _, publication in groups]) if groups else []
        newest, count = None, 0
        for (number, publication), receipt in zip(groups, receipts, strict=True):
            if isinstance(receipt, Receipt):
                newest, count = receipt, count + len(publication.events)
            elif isinstance(receipt, KeyReused):
                refused.append((number, receipt))
            else:
                raise receipt
        for number, error in sorted(refused, key=lambda each: each[0]):
            status, code = answer_of(error)
            fields = {"message": str(error), "status": status, "detail": {}, "line": number}
            yield _line(error=code, **fields)
        self._lines += len(lines)
        self._count += count
        if newest is not None:
            receipt_of = {"id": newest.id, "topic": newest.topic, "count": count}
            yield _line(**receipt_of, line=self._lines)

    def _parse(
        self, lines: list[bytes], refused: list[tuple[int, Exception]]
    ) -> Iterator[tuple[int, NewEvent, str | None]]:
        """Yield number, event and key of each line that has an event; others are refused."""
        for number, line in enumerate(lines, self._lines + 1):
            try:
                if not line or line.isspace():
                    continue
                event, key = parse_keyed_event(line)
            except MalformedEvent as error:
                refused.append((number, error))
            else:
                yield number, event, key


def _groups(
    parsed: Iterable[tuple[int, NewEvent, str | None]], owner: str
) -> Iterator[tuple[int, Publication]]:
    """Yield what is published: those with a key by themselves, others together, in their order."""
    plain: list[NewEvent] = []
    last = 0
    for number, event, key in parsed:
        if key is None:
            plain.append(event)
            last = number
            continue
        if plain:
            yield last, Publication(plain, owner=owner)
            plain = []
        yield number, Publication([event], key, owner=owner)
    if plain:
        yield last, Publication(plain, owner=owner)


def _line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"
