"""Events published while they are sent: a body of lines, acknowledged by receipts meanwhile.

A line with a receipt is kept; a line without one may not be. The body is read no faster than events
are kept and the client takes its receipts. Knows no HTTP but the lines of the answer. Way in:
Upload.
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

# Lines parsed and kept at once: about 3 ms; nothing holds the hub for 5 ms.
GROUP_LINES = 1000
# Publications at once: each line with a key is one, and takes 30 to 50 us.
GROUP_PUBLICATIONS = 100
# So many lines count as one request in the rate limit: as many as a POST may have.
LINES_A_REQUEST = 10_000


# A publication, and the numbers of its lines.
_Group = tuple[list[int], Publication]
# The number of a refused line, and its line of the answer.
_Refused = tuple[int, bytes]


class UploadRequest(NamedTuple):
    """The request of an upload.

    read: returns the bytes that have arrived, b"" at the end, and pauses the turn while it waits;
    raises ConnectionError where the body was cut.
    publish: keeps publications in their order; returns each receipt, or why it is refused. note:
    counts a request of owner. is_open: whether events are still accepted.
    """

    owner: str
    read: Callable[[], bytes]
    publish: Callable[[list[Publication]], list[Receipt | Exception]]
    note: Callable[[str], None]
    scheduler: RequestScheduler
    is_open: Callable[[], bool]


class Upload:
    """The answer to one upload: iterate over it for lines of JSON.

    A receipt has `id`, `topic`, `count` and `line`: all lines up to this one are kept or were
    refused. A line with `error` is of a refused line, or says why the upload ends. The last line is
    `done`, if the whole body was read.
    """

    def __init__(self, request: UploadRequest) -> None:
        self._request = request
        # The lines before the current group, and the events that were kept.
        self._lines = 0
        self._count = 0
        self._counted_lines = 0
        self._until_s = 0.0

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._run()
        except ConnectionError as error:
            if self._request.is_open():
                message = f"the body was cut: send it again from line {self._lines + 1} on: {error}"
                yield _line(error="upload_cut", message=message, status=400, **self._at())
            else:
                message = "the server is stopping: continue in a second"
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
        while data := self._request.read():
            # A piece may be a single byte.
            self._give_way()
            first, *more = data.split(b"\n")
            # A line that is too long is cut behind the first byte too many.
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
        """Publish lines and yield their answer. Raises the error that ends the upload."""
        request = self._request
        if self._lines >= self._counted_lines:
            request.note(request.owner)
            self._counted_lines += LINES_A_REQUEST
        self._give_way()
        refused: list[_Refused] = []
        groups = list(_groups(self._parse(lines, refused), request.owner))
        receipts, end = self._publish(groups, refused)
        ends_at, why = end or (self._lines + len(lines) + 1, None)
        refusals = [line for number, line in sorted(refused) if number < ends_at]
        if answer := b"".join([*refusals, _receipts(receipts, ends_at)]):
            yield answer
        self._lines = ends_at - 1
        self._count += sum(receipt.count for receipt in receipts)
        if why is not None:
            raise why

    def _give_way(self) -> None:
        """Let others have their turn, if this one has taken long enough."""
        self._until_s = self._request.scheduler.go_on(self._request.owner, self._until_s)

    def _publish(
        self, groups: list[_Group], refused: list[_Refused]
    ) -> tuple[list[Receipt], tuple[int, Exception] | None]:
        """Keep groups in their order; return the receipts, and where and why it has ended early.

        refused: the refusals of single lines are added to it.
        """
        receipts: list[Receipt] = []
        while groups:
            try:
                results = self._request.publish([each for _, each in groups[:GROUP_PUBLICATIONS]])
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
                    # An event is larger than the topic; nothing from here on was kept.
                    rest = groups[place + 1 :]
                    if len(numbers) > 1:
                        rest = [*_split(numbers, publication), *rest]
                    else:
                        refused.append((numbers[0], _refusal(numbers[0], result)))
                    break
            groups = rest
            self._give_way()
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
                # Only the text: thousands of errors would keep their frames.
                refused.append((number, _refusal(number, error)))
                # A refusal takes up to fifteen times as long as parsing an event.
                self._give_way()
            else:
                yield number, event, key


def _refusal(number: int, error: Exception) -> bytes:
    """Return the answer's line for a refused line."""
    status, code = find_answer(error)
    return _line(error=code, message=str(error), status=status, detail={}, line=number)


def _receipts(receipts: list[Receipt], ends_at: int) -> bytes:
    """Return the answer's line for the events kept before the line ends_at, b"" for none."""
    if not receipts:
        return b""
    count = sum(receipt.count for receipt in receipts)
    return _line(id=receipts[-1].id, topic=receipts[-1].topic, count=count, line=ends_at - 1)


def _groups(parsed: Iterable[tuple[int, NewEvent, str | None]], owner: str) -> Iterator[_Group]:
    """Yield publications with the numbers of their lines, in their order.

    Events with a key are published one by one, others together.
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


def _split(numbers: list[int], publication: Publication) -> list[_Group]:
    """Return a publication's events as one publication each."""
    return [
        ([number], publication._replace(events=[event]))
        for number, event in zip(numbers, publication.events, strict=True)
    ]


def _line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"
