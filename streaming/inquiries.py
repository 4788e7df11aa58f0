"""What databases are asked for pages and orders: each by one thread at a time, however many wait.

A database may be locked, and its disk may be gone: then one native thread waits for it, and each
request that wants an answer waits beside that thread, for a bounded time. Way in: Inquiries, Line.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from journal import RunNative
from sources.catalogue import Source
from sources.descriptions import Descriptions, as_stored, fingerprint_of
from sources.errors import SourceUnavailable
from sources.tables import Description, Stored

# What a list waits for all of its sources together: it is there within 2 s.
LIST_S = 1.5
# What anything else waits: a question waits for a lock for 5 s, and so may one before it.
PATIENCE_S = 10.0
# As many databases are waited for at once, of the 20 native threads; the rest is for files.
AT_ONCE = 10

Found = TypeVar("Found")


class Late(NamedTuple):
    """A source whose database has not answered in time. last: what it looked like, if known."""

    last: Description | None


class Line:
    """Work that is done one after another, each on a native thread. May be asked by any thread."""

    def __init__(self, run_native: RunNative) -> None:
        self._run_native = run_native
        self._lock = threading.Lock()
        # What somebody waits for, and what is not urgent.
        self._urgent: dict[Hashable, _Work] = {}
        self._others: dict[Hashable, _Work] = {}
        self._is_at_work = False

    def ask(
        self, key: Hashable, work: Callable[[], Any], *, is_urgent: bool = False
    ) -> Future[Any]:
        """Return the answer to come. What has begun already answers nobody who asks now.

        key: work of the same key that has not begun is done once.
        """
        with self._lock:
            asked = self._others.pop(key, None) or self._urgent.get(key) or _Work(work, Future())
            (self._urgent if is_urgent or key in self._urgent else self._others)[key] = asked
            is_at_work, self._is_at_work = self._is_at_work, True
        if not is_at_work:
            threading.Thread(target=self._run, name="inquiries", daemon=True).start()
        return asked.answer

    def _run(self) -> None:
        while (asked := self._next()) is not None:
            if asked.answer.set_running_or_notify_cancel():
                try:
                    found = self._run_native(asked.work)
                except Exception as error:  # noqa: BLE001 (it is raised where it is waited for)
                    asked.answer.set_exception(error)
                else:
                    asked.answer.set_result(found)

    def _next(self) -> _Work | None:
        with self._lock:
            waiting = self._urgent or self._others
            if not waiting:
                self._is_at_work = False
                return None
            return waiting.pop(next(iter(waiting)))


class _Work(NamedTuple):
    work: Callable[[], Any]
    answer: Future[Any]


class Inquiries:
    """See the module. run_native: runs what may wait for a disk or a database's lock."""

    def __init__(self, run_native: RunNative) -> None:
        self._run_native = run_native
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._descriptions = Descriptions()
        # Of each database. What has not changed is told while the database is busy.
        self._looks: dict[Path, Line] = defaultdict(lambda: Line(run_native))
        self._questions: dict[Path, Line] = defaultdict(lambda: Line(self._run_in_room))

    def describe(self, source: Source) -> Description:
        """Return what a source looks like now. Raises SourceUnavailable, also when that is late."""
        return self._await(as_stored(source), self._describe(source, is_urgent=True))

    def describe_all(
        self, sources: Sequence[Source]
    ) -> list[Description | SourceUnavailable | Late]:
        """Return what each source looks like now, or why that cannot be told, within LIST_S."""
        answers = [self._describe(source, is_urgent=False) for source in sources]
        wait(answers, timeout=LIST_S)
        return [
            _told(answer) if answer.done() else Late(self._descriptions.last(source))
            for source, answer in zip(sources, answers, strict=True)
        ]

    def ask(self, source: Stored, work: Callable[[], Found]) -> Found:
        """Return what work says, which asks the source's database.

        Raises what work raises, and SourceUnavailable when that is late.
        """
        answer = self._questions[source.database].ask(object(), work, is_urgent=True)
        try:
            found: Found = self._await(source, answer)
        finally:
            answer.cancel()
        return found

    def _describe(self, source: Source, *, is_urgent: bool) -> Future[Description]:
        """Return the description to come: the known one if the database is as it was then."""
        stored = as_stored(source)
        described: Future[Description] = Future()

        def go_on(look: Future[str | None]) -> None:
            if (error := look.exception()) is not None:
                described.set_exception(error)
            elif (known := self._descriptions.known(source, look.result())) is not None:
                described.set_result(known)
            else:
                work = partial(self._descriptions.of, source)
                line = self._questions[stored.database]
                line.ask(source.name, work, is_urgent=is_urgent).add_done_callback(hand_on)

        def hand_on(answer: Future[Description]) -> None:
            if (error := answer.exception()) is not None:
                described.set_exception(error)
            else:
                described.set_result(answer.result())

        look = self._looks[stored.database].ask("look", fingerprint_of(stored))
        look.add_done_callback(go_on)
        return described

    def _await(self, source: Stored, answer: Future[Found]) -> Found:
        wait([answer], timeout=PATIENCE_S)
        if not answer.done():
            message = f"the database of {source.name} has not answered within {PATIENCE_S:g} s"
            raise SourceUnavailable(message)
        return answer.result()

    def _run_in_room(self, work: Callable[[], Found]) -> Found:
        with self._room:
            return self._run_native(work)


def _told(answer: Future[Description]) -> Description | SourceUnavailable:
    try:
        return answer.result()
    except SourceUnavailable as error:
        return error
