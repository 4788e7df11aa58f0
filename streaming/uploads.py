"""Events published while they are sent: a body of lines, acknowledged by receipts as it goes.

A line with a receipt is kept; a line without one was not, or nobody knows. The body is read as fast
as it is kept and as its receipts are taken, and no further. Knows no HTTP but the lines of the
answer. Way in: Upload.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from auth.answers import ANSWERS, find_answer
from auth.request_scheduler import RequestScheduler, end_turn
from journal import JournalFull
from topics import KeyReused, Publication, Receipt
from wire.events import MAX_EVENT_BYTES, MalformedEvent, NewEvent, parse_keyed_event

# What is understood and kept in one go: they take about 3 ms; DESIGN.md: the hub never waits 5 ms.
GROUP_LINES = 1000
# So many publications at once: each line with a key is one, and takes 30 to 50 us.
GROUP_PUBLICATIONS = 100
# So many lines count as one request of those that one may make in a minute: what a POST may have.
LINES_A_REQUEST = 10_000


# What is published at once, and the numbers of its lines.
_Group = tuple[list[int], Publication]
# The number of a line that is refused by itself, and what the answer says of it.
_Refused = tuple[int, bytes]


class Asked(NamedTuple):
    """Who sends, and what becomes of it.

    read: returns what has come, b"" at the end, and lets the turn rest while it waits; raises
    ConnectionError where the body was cut.
    publish: keeps publications in their order; returns each receipt, or why it is refused. note:
    counts a request of owner. is_open: whether anything is kept any more.
    """

    owner: str
    read: Callable[[], bytes]
    publish: Callable[[list[Publication]], list[Receipt | Exception]]
    note: Callable[[str], None]
    scheduler: RequestScheduler
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
            status, code = find_answer(error)
            yield _line(error=code, message=str(error), status=status, **self._at())
        finally:
            end_turn()

    def _at(self) -> dict[str, Any]:
        return {"detail": {}, "line": self._lines + 1}

    def _run(self) -> Iterator[bytes]:
        rest = bytearray()
        while data := self._asked.read():
            # A piece may be one byte, and be all that its line brings.
            self._go_on()
            first, *more = data.split(b"\n")
            # Of a line that is too long, no more is kept than tells so.
            rest += first[: MAX_EVENT_BYTES + 1 - len(rest)]
            if not more:
                continue
            lines = [bytes(rest), *more]
            rest = bytearray(lines.pop()[: MAX_EVENT_BYTES + 1])
            for start in range(0, len(lines), GROUP_LINES):
                yield from self._keep(lines[start : start + GROUP_LINES])
        if rest:
            yield from self._keep([bytes(rest)])
        yield _line(done=True, lines=self._lines, count=self._count)

    def _keep(self, lines: list[bytes]) -> Iterator[bytes]:
        """Publish lines and say what became of them. Raises what ends the upload."""
        asked = self._asked
        if self._lines >= self._counted_lines:
            asked.note(asked.owner)
            self._counted_lines += LINES_A_REQUEST
        self._go_on()
        refused: list[_Refused] = []
        groups = list(_groups(self._parse(lines, refused), asked.owner))
        receipts, end = self._publish(groups, refused)
        ends_at, why = end or (self._lines + len(lines) + 1, None)
        told = [line for number, line in sorted(refused) if number < ends_at]
        if answer := b"".join([*told, _receipts(receipts, ends_at)]):
            yield answer
        self._lines = ends_at - 1
        self._count += sum(receipt.count for receipt in receipts)
        if why is not None:
            raise why

    def _go_on(self) -> None:
        """Give the others their turn, if this one has taken long enough."""
        self._until_s = self._asked.scheduler.go_on(self._asked.owner, self._until_s)

    def _publish(
        self, groups: list[_Group], refused: list[_Refused]
    ) -> tuple[list[Receipt], tuple[int, Exception] | None]:
        """Keep groups in their order; return the receipts, and where and why that has ended.

        refused: where the refusals of single lines are put.
        """
        receipts: list[Receipt] = []
        while groups:
            try:
                results = self._asked.publish([each for _, each in groups[:GROUP_PUBLICATIONS]])
            except tuple(ANSWERS) as error:
                return receipts, (groups[0][0][0], error)
            rest = groups[GROUP_PUBLICATIONS:]
            for place, result in enumerate(results):
                numbers, publication = groups[place]
                if isinstance(result, Receipt):
                    receipts.append(result)
                elif isinstance(result, KeyReused):
                    refused.append((numbers[0], _refusal(numbers[0], result)))
                elif not isinstance(result, JournalFull):
                    return receipts, (numbers[0], result)
                else:
                    # An event is larger than the topic, and nothing from here on is kept.
                    rest = groups[place + 1 :]
                    if len(numbers) > 1:
                        rest = [*_apart(numbers, publication), *rest]
                    else:
                        refused.append((numbers[0], _refusal(numbers[0], result)))
                    break
            groups = rest
            self._go_on()
        return receipts, None

    def _parse(
        self, lines: list[bytes], refused: list[_Refused]
    ) -> Iterator[tuple[int, NewEvent, str | None]]:
        """Yield number, event and key of each line that has an event; others are refused."""
        for number, line in enumerate(lines, self._lines + 1):
            try:
                if not line or line.isspace():
                    continue
                event, key = parse_keyed_event(line)
            except MalformedEvent as error:
                # The text alone: thousands of errors with their frames would be much to collect.
                refused.append((number, _refusal(number, error)))
                # To say why takes up to fifteen times as long as to understand an event.
                self._go_on()
            else:
                yield number, event, key


def _refusal(number: int, error: Exception) -> bytes:
    """Return the answer's line for a line that is refused by itself."""
    status, code = find_answer(error)
    return _line(error=code, message=str(error), status=status, detail={}, line=number)


def _receipts(receipts: list[Receipt], ends_at: int) -> bytes:
    """Return the answer's line for what was kept before the line ends_at, b"" for nothing."""
    if not receipts:
        return b""
    count = sum(receipt.count for receipt in receipts)
    return _line(id=receipts[-1].id, topic=receipts[-1].topic, count=count, line=ends_at - 1)


def _groups(parsed: Iterable[tuple[int, NewEvent, str | None]], owner: str) -> Iterator[_Group]:
    """Yield what is published, with the numbers of its lines, in their order.

    Events with a key are published by themselves, others together.
    """
    plain: list[NewEvent] = []
    numbers: list[int] = []
    for number, event, key in parsed:
        if key is None:
            plain.append(event)
            numbers.append(number)
            continue
        if plain:
            yield numbers, Publication(plain, owner=owner)
            plain, numbers = [], []
        yield [number], Publication([event], key, owner=owner)
    if plain:
        yield numbers, Publication(plain, owner=owner)


def _apart(numbers: list[int], publication: Publication) -> list[_Group]:
    """Return a publication's events as one publication each."""
    return [
        ([number], publication._replace(events=[event]))
        for number, event in zip(numbers, publication.events, strict=True)
    ]


def _line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"
