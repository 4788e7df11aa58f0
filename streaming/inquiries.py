"""Questions to databases for pages and exports: few threads for each, however many requests wait.

A database may be locked, or its disk may fail: then only these threads wait for it, and requests
wait beside them for a bounded time. One thread at a time describes a database; two run statements
of requests, each for another owner, and owners take turns. Way in: Inquiries, SerialQueue.
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

# How long a list waits for all of its sources together, to be sent within 2 s.
LIST_S = 1.5
# How long anything else waits: a statement waits for a lock for 5 s, and so may one before it.
ANSWER_S = 10.0
# Concurrent statements of one database, each of another owner: a slow one does not hold up other
# owners, and a locked database blocks no more threads.
OF_ONE_DATABASE = 2

Found = TypeVar("Found")


class Late(NamedTuple):
    """A source whose database has not answered in time. last: its last description, if known."""

    last: Description | None


class SerialQueue:
    """Runs work one after another, each on a native thread. For any thread."""

    def __init__(self, run_native: RunNative) -> None:
        self._run_native = run_native
        self._lock = threading.Lock()
        # Work that a request waits for, and other work.
        self._urgent: dict[Hashable, _Inquiry] = {}
        self._others: dict[Hashable, _Inquiry] = {}
        self._is_running = False

    def ask(
        self, key: Hashable, work: Callable[[], Any], *, is_urgent: bool = False
    ) -> Future[Any]:
        """Return the future answer. Work that has begun already does not answer later calls.

        key: work of the same key that has not begun is done once.
        """
        with self._lock:
            known = self._others.pop(key, None) or self._urgent.get(key)
            inquiry = known or _Inquiry(work, Future())
            (self._urgent if is_urgent or key in self._urgent else self._others)[key] = inquiry
            is_running, self._is_running = self._is_running, True
        if not is_running:
            # threading.Thread would wait here until it runs, which costs as much as the work.
            start_new_thread(self._run, ())
        return inquiry.answer

    def _run(self) -> None:
        while (inquiry := self._next()) is not None:
            if inquiry.answer.set_running_or_notify_cancel():
                try:
                    found = self._run_native(inquiry.work)
                except Exception as error:  # noqa: BLE001 (raised by the future)
                    inquiry.answer.set_exception(error)
                else:
                    inquiry.answer.set_result(found)

    def _next(self) -> _Inquiry | None:
        with self._lock:
            waiting = self._urgent or self._others
            if not waiting:
                self._is_running = False
                return None
            return waiting.pop(next(iter(waiting)))


class _Inquiry(NamedTuple):
    work: Callable[[], Any]
    answer: Future[Any]


class Inquiries:
    """See the module. statement_s: the limit of each statement that a request waits for."""

    def __init__(self, threads: NativeThreads, statement_s: float = math.inf) -> None:
        self._threads = threads
        self._statement_s = min(LOOK_S, statement_s)
        self._descriptions = Descriptions()
        # By database. Fingerprints have a queue of their own, so that known descriptions of a busy
        # database are returned at once.
        self._fingerprints: dict[Database, SerialQueue] = defaultdict(
            lambda: SerialQueue(threads.files)
        )
        self._describing: dict[Database, SerialQueue] = defaultdict(
            lambda: SerialQueue(threads.descriptions)
        )
        self._places: dict[Database, Places] = defaultdict(lambda: Places(OF_ONE_DATABASE, 1))
        self._lock = threading.Lock()
        # By database and owner, while the owner has statements there.
        self._questions: WeakValueDictionary[tuple[Database, str], SerialQueue] = (
            WeakValueDictionary()
        )

    def describe(self, source: Source) -> Description:
        """Return the description of a source. Raises SourceUnavailable, also after ANSWER_S."""
        return self._await(as_stored(source), self._describe(source, is_urgent=True))

    def describe_all(
        self, sources: Sequence[Source]
    ) -> list[Description | SourceUnavailable | Late]:
        """Return the description of each source, or why there is none, within LIST_S."""
        answers = [self._describe(source, is_urgent=False) for source in sources]
        _wait_for(answers, LIST_S)
        return [
            _result_of(answer) if answer.done() else Late(self._descriptions.last(source))
            for source, answer in zip(sources, answers, strict=True)
        ]

    def ask(self, source: Stored, work: Callable[[float], Found]) -> Found:
        """Return the result of work, which reads the source's database.

        work: called with the seconds that each of its statements may take.
        Raises as work, SourceBusy when it has not begun in time, and SourceUnavailable when it has
        not ended in time.
        """

        begun: list[bool] = []

        def begin() -> Found:
            begun.append(True)
            return work(self._statement_s)

        queue = self._queue_of(source.database, quota_key_of_turn())
        answer = queue.ask(object(), begin, is_urgent=True)
        try:
            found: Found = self._await(source, answer)
        except SourceUnavailable as error:
            if begun or answer.done():
                raise
            message = (
                f"{source.name} could not be read within {ANSWER_S:g} s: earlier statements still"
                " run; send fewer requests at once, or try again"
            )
            raise SourceBusy(message) from error
        finally:
            answer.cancel()
        return found

    def _queue_of(self, database: Database, owner: str) -> SerialQueue:
        """Return the queue of an owner's statements for a database."""

        with self._lock:
            places = self._places[database]

            def run(work: Callable[[], Found]) -> Found:
                act_for(owner)
                with places.place(owner):
                    return self._threads.statements(work)

            return self._questions.setdefault((database, owner), SerialQueue(run))

    def _describe(self, source: Source, *, is_urgent: bool) -> Future[Description]:
        """Return the future description: the known one if the database has not changed."""
        stored = as_stored(source)
        described: Future[Description] = Future()
        # The fingerprint of generated rows is known without waiting.
        state = stored.database.fingerprint() if stored.database.is_constant else None
        if (known := self._descriptions.known(source, state)) is not None:
            described.set_result(known)
            return described

        def on_fingerprint(fingerprint: Future[str | None]) -> None:
            if (error := fingerprint.exception()) is not None:
                described.set_exception(error)
            elif (same := self._descriptions.known(source, fingerprint.result())) is not None:
                described.set_result(same)
            else:
                work = partial(self._descriptions.of, source)
                queue = self._describing[stored.database]
                answer = queue.ask(source.name, work, is_urgent=is_urgent)
                answer.add_done_callback(on_description)

        def on_description(answer: Future[Description]) -> None:
            if (error := answer.exception()) is not None:
                described.set_exception(error)
            else:
                described.set_result(answer.result())

        queue = self._fingerprints[stored.database]
        queue.ask("fingerprint", stored.database.fingerprint).add_done_callback(on_fingerprint)
        return described

    def _await(self, source: Stored, answer: Future[Found]) -> Found:
        _wait_for([answer], ANSWER_S)
        if not answer.done():
            message = f"the database of {source.name} has not answered within {ANSWER_S:g} s"
            raise SourceUnavailable(message)
        return answer.result()


def _wait_for(answers: Sequence[Future[Any]], most_s: float) -> None:
    """Wait for all answers, or for most_s. The turn is kept during the first TURN_S.

    A request that gives up its turn waits behind a flood again at each step.
    """
    if wait(answers, timeout=TURN_S).not_done:
        with turn_paused():
            wait(answers, timeout=most_s - TURN_S)


def _result_of(answer: Future[Description]) -> Description | SourceUnavailable:
    try:
        return answer.result()
    except SourceUnavailable as error:
        return error
