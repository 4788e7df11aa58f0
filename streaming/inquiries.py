"""What databases are asked for pages and orders: each by few threads, however many wait.

A database may be locked, and its disk may be gone: then these threads wait for it, and each request
that wants an answer waits beside them, for a bounded time. What a database looks like is asked by
one thread at a time; statements of requests by two, each of another owner, and the owners take
turns. Way in: Inquiries, Line.
"""

from __future__ import annotations

import math
import threading
from _thread import start_new_thread
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from auth import NativeThreads, Places
from auth.request_scheduler import TURN_S, act_for, quota_key_of_turn, turn_paused
from journal import RunNative
from sources.database import LOOK_S, Database, Description, Source, Stored
from sources.descriptions import Descriptions
from sources.errors import SourceBusy, SourceUnavailable
from sources.kinds import as_stored

# What a list waits for all of its sources together: it is there within 2 s.
LIST_S = 1.5
# What anything else waits: a question waits for a lock for 5 s, and so may one before it.
PATIENCE_S = 10.0
# As many statements of one database run at once, each of another owner: one that is slow holds up
# nobody else's, and a database that is locked has no more than these threads.
OF_ONE_DATABASE = 2

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
            # threading.Thread would wait here until it runs, which costs as much as the look.
            start_new_thread(self._run, ())
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
    """See the module. statement_s: how long any statement may take that a request waits for."""

    def __init__(self, threads: NativeThreads, statement_s: float = math.inf) -> None:
        self._threads = threads
        self._statement_s = min(LOOK_S, statement_s)
        self._descriptions = Descriptions()
        # Of each database. What has not changed is told while the database is busy.
        self._looks: dict[Database, Line] = defaultdict(lambda: Line(threads.files))
        self._describing: dict[Database, Line] = defaultdict(lambda: Line(threads.descriptions))
        self._places: dict[Database, Places] = defaultdict(lambda: Places(OF_ONE_DATABASE, 1))
        self._lock = threading.Lock()
        # Of each owner, too, while it has something there.
        self._questions: WeakValueDictionary[tuple[Database, str], Line] = WeakValueDictionary()

    def describe(self, source: Source) -> Description:
        """Return what a source looks like now. Raises SourceUnavailable, also when that is late."""
        return self._await(as_stored(source), self._describe(source, is_urgent=True))

    def describe_all(
        self, sources: Sequence[Source]
    ) -> list[Description | SourceUnavailable | Late]:
        """Return what each source looks like now, or why that cannot be told, within LIST_S."""
        answers = [self._describe(source, is_urgent=False) for source in sources]
        _wait_for(answers, LIST_S)
        return [
            _told(answer) if answer.done() else Late(self._descriptions.last(source))
            for source, answer in zip(sources, answers, strict=True)
        ]

    def ask(self, source: Stored, work: Callable[[float], Found]) -> Found:
        """Return what work says, which asks the source's database.

        work: is called with the seconds that each of its statements may take.
        Raises what work raises, SourceBusy when it has not begun in time, and SourceUnavailable
        when it is late.
        """

        begun: list[bool] = []

        def begin() -> Found:
            begun.append(True)
            return work(self._statement_s)

        line = self._line_of(source.database, quota_key_of_turn())
        answer = line.ask(object(), begin, is_urgent=True)
        try:
            found: Found = self._await(source, answer)
        except SourceUnavailable as error:
            if begun or answer.done():
                raise
            message = (
                f"{source.name} could not be asked within {PATIENCE_S:g} s: what was asked before"
                " still runs; ask for less at once, or try again"
            )
            raise SourceBusy(message) from error
        finally:
            answer.cancel()
        return found

    def _line_of(self, database: Database, owner: str) -> Line:
        """Return where owner's questions to a database wait for each other."""

        with self._lock:
            places = self._places[database]

            def run(work: Callable[[], Found]) -> Found:
                act_for(owner)
                with places.place(owner):
                    return self._threads.statements(work)

            return self._questions.setdefault((database, owner), Line(run))

    def _describe(self, source: Source, *, is_urgent: bool) -> Future[Description]:
        """Return the description to come: the known one if the database is as it was then."""
        stored = as_stored(source)
        described: Future[Description] = Future()
        # Nothing is looked at to tell that rows which are made up are as they were.
        state = stored.database.fingerprint() if stored.database.is_constant else None
        if (known := self._descriptions.known(source, state)) is not None:
            described.set_result(known)
            return described

        def go_on(look: Future[str | None]) -> None:
            if (error := look.exception()) is not None:
                described.set_exception(error)
            elif (as_before := self._descriptions.known(source, look.result())) is not None:
                described.set_result(as_before)
            else:
                work = partial(self._descriptions.of, source)
                line = self._describing[stored.database]
                line.ask(source.name, work, is_urgent=is_urgent).add_done_callback(hand_on)

        def hand_on(answer: Future[Description]) -> None:
            if (error := answer.exception()) is not None:
                described.set_exception(error)
            else:
                described.set_result(answer.result())

        look = self._looks[stored.database].ask("look", stored.database.fingerprint)
        look.add_done_callback(go_on)
        return described

    def _await(self, source: Stored, answer: Future[Found]) -> Found:
        _wait_for([answer], PATIENCE_S)
        if not answer.done():
            message = f"the database of {source.name} has not answered within {PATIENCE_S:g} s"
            raise SourceUnavailable(message)
        return answer.result()


def _wait_for(answers: Sequence[Future[Any]], most_s: float) -> None:
    """Wait for all answers, or for most_s. The turn is kept for answers that are there soon.

    A client without a turn is behind a flood again with each step of its request.
    """
    if wait(answers, timeout=TURN_S).not_done:
        with turn_paused():
            wait(answers, timeout=most_s - TURN_S)


def _told(answer: Future[Description]) -> Description | SourceUnavailable:
    try:
        return answer.result()
    except SourceUnavailable as error:
        return error
