"""Who waits for which database, and how long; the databases are real, their threads are held up."""

from __future__ import annotations

import contextvars
import gc
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager

import apsw
import pytest

from auth import NativeThreads
from auth.native_threads import STATEMENTS, STATEMENTS_OF_ONE
from auth.request_scheduler import act_for
from journal import run_here
from sources.database import GeneratedSource, TableSource
from sources.errors import SourceBusy, SourceUnavailable
from sources.sqlite.database import SqliteDatabase
from streaming import inquiries
from streaming.inquiries import Inquiries, Late, SerialQueue


class Threads:
    """A run_native whose work goes on only when it may: hold(), then let_go()."""

    def __init__(self) -> None:
        self.at_work = self.most = self.done = 0
        self._lock = threading.Lock()
        self._may_go_on = threading.Event()
        self.let_go()

    def hold(self) -> None:
        self._may_go_on.clear()

    def let_go(self) -> None:
        self._may_go_on.set()

    def __call__(self, work):
        with self._lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        try:
            assert self._may_go_on.wait(20)
            return work()
        finally:
            with self._lock:
                self.at_work -= 1
                self.done += 1


@pytest.fixture
def threads(until):
    threads = Threads()
    yield threads
    threads.let_go()
    until(lambda: not threads.at_work)


@pytest.fixture
def line(threads):
    return SerialQueue(threads)


@pytest.fixture
def at_once(monkeypatch):
    """Nobody waits for what is not there soon."""
    monkeypatch.setattr(inquiries, "LIST_S", 1.0)
    monkeypatch.setattr(inquiries, "ANSWER_S", 0.3)


# A line.


def test_one_at_a_time_in_the_order_of_the_questions(line, threads):
    threads.hold()
    order = []
    answers = [line.ask(number, lambda number=number: order.append(number)) for number in range(50)]
    threads.let_go()
    assert [answer.result(20) for answer in answers] == [None] * 50
    assert order == list(range(50))
    assert threads.most == 1


def test_what_has_not_begun_is_done_once_for_all(line, threads, until):
    threads.hold()
    first = line.ask("a", lambda: "old")
    until(lambda: threads.at_work)
    later = [line.ask("a", lambda: "new") for _ in range(10)]
    threads.let_go()
    # What had begun may have seen less than there was when the others asked.
    assert first.result(20) == "old"
    assert {answer.result(20) for answer in later} == {"new"}
    assert threads.done == 2


def test_what_somebody_waits_for_comes_first(line, threads, until):
    threads.hold()
    order = []
    asks = [("held", False), ("a", False), ("b", False), ("c", True), ("b", True), ("c", False)]
    answers = []
    for key, is_urgent in asks:
        answers.append(line.ask(key, lambda key=key: order.append(key), is_urgent=is_urgent))
        until(lambda: threads.at_work)
    threads.let_go()
    for answer in answers:
        answer.result(20)
    assert order == ["held", "c", "b", "a"]


def test_an_error_is_its_own(line):
    def fail():
        raise SourceUnavailable("no")

    failed, done = line.ask(1, fail), line.ask(2, lambda: "yes")
    with pytest.raises(SourceUnavailable, match="no"):
        failed.result(20)
    assert done.result(20) == "yes"


def test_what_nobody_waits_for_any_more_is_not_done(line, threads, until):
    threads.hold()
    done = []
    line.ask("held", lambda: None)
    until(lambda: threads.at_work)
    assert line.ask("a", lambda: done.append("a")).cancel()
    last = line.ask("b", lambda: done.append("b"))
    threads.let_go()
    last.result(20)
    assert done == ["b"]


# Databases.


@pytest.fixture
def databases(make_database):
    """databases(name, tables): so many tables of a database as sources."""

    def make(name, tables):
        statements = [f"create table t{number} (i integer)" for number in range(tables)]
        path = make_database(*statements, name=f"{name}.db")
        return [TableSource(f"{name}{n}", SqliteDatabase(path), f"t{n}") for n in range(tables)]

    return make


@contextmanager
def locked(source):
    with closing(apsw.Connection(str(source.database))) as connection:
        connection.execute("begin exclusive")
        yield connection


def names(description):
    return [column.name for column in description.columns]


def test_a_list_says_what_is_known_of_a_locked_database_and_all_of_others(databases, at_once):
    first, second, *others = databases("busy", 12)
    fine = databases("fine", 2)
    asked = Inquiries(NativeThreads(run_here))
    assert names(asked.describe(first)) == ["i"]
    with locked(first) as connection:
        connection.execute("alter table t0 add column more")
        described = asked.describe_all([first, second, *others, *fine])
    # Nothing was committed: what is known of the first one is so.
    assert names(described[0]) == ["i"]
    assert described[1:12] == [Late(None)] * 11
    assert [names(each) for each in described[12:]] == [["i"], ["i"]]


def test_what_is_known_of_another_state_is_marked(databases, change, at_once, threads):
    [source] = databases("data", 1)
    asked = Inquiries(NativeThreads(threads))
    before = asked.describe(source)
    change(source.database.path, "alter table t0 add column more")
    with locked(source):
        assert asked.describe_all([source]) == [Late(before)]
    threads.let_go()
    inquiries.LIST_S = 20
    [now] = asked.describe_all([source])
    assert names(now) == ["i", "more"]


def test_of_a_disk_that_is_gone_nobody_waits_for_long(databases, at_once, threads):
    busy = databases("busy", 3)
    asked = Inquiries(NativeThreads(threads))
    asked.describe(busy[0])
    threads.hold()
    described = asked.describe_all([*busy, GeneratedSource("users", "users", 10)])
    assert [type(each) for each in described] == [Late] * 4
    assert described[0].last is not None
    with pytest.raises(SourceUnavailable, match="the database of busy1 has not answered"):
        asked.describe(busy[1])
    # One for the disk of each database, however many ask.
    assert threads.most == 2


def test_a_database_that_does_not_answer_has_one_thread_however_many_ask(
    databases, at_once, threads
):
    [source, other] = databases("busy", 2)
    asked = Inquiries(NativeThreads(threads))

    def ask(number):
        with pytest.raises(SourceUnavailable, match=r"has not answered|could not be read"):
            asked.ask(source, lambda limit_s: number)

    threads.hold()
    with ThreadPoolExecutor(50) as clients:
        list(clients.map(ask, range(50)))
    assert threads.most == 1
    threads.let_go()
    # What they have given up is not done, so that this one does not wait for it.
    inquiries.ANSWER_S = 20
    assert asked.ask(other, lambda limit_s: "an answer") == "an answer"
    assert threads.done == 2


def test_databases_together_leave_threads_to_others(databases, at_once, threads):
    """One who asks many that are slow has only a part of the threads for statements."""
    sources = [databases(f"busy{number}_", 1)[0] for number in range(STATEMENTS)]
    asked = Inquiries(NativeThreads(threads))
    threads.hold()
    with ThreadPoolExecutor(len(sources)) as clients:
        for source in sources:
            clients.submit(asked.ask, source, lambda limit_s: None)
    assert threads.most == STATEMENTS_OF_ONE


@pytest.fixture
def ask_as():
    """ask_as(owner, asked, source, work): what work says, asked by that owner beside others."""
    with ThreadPoolExecutor(20) as clients:

        def ask(owner, asked, source, work):
            act_for(owner)
            return asked.ask(source, work)

        yield lambda *of: clients.submit(contextvars.Context().run, ask, *of)


def test_what_is_slow_of_one_owner_holds_up_no_other(databases, ask_as, until):
    """Of one database: it waits for its own, another's is asked beside it."""
    [source] = databases("data", 1)
    asked = Inquiries(NativeThreads(run_here))
    may_end, begun = threading.Event(), []

    def work(limit_s):
        begun.append(limit_s)
        assert may_end.wait(20)

    slow = [ask_as("ann", asked, source, work) for _ in range(5)]
    until(lambda: begun)
    answer = ask_as("bob", asked, source, lambda limit_s: "an answer")
    assert answer.result(5) == "an answer"
    assert len(begun) == 1
    may_end.set()
    for each in slow:
        each.result(20)
    assert len(begun) == 5


def test_a_database_that_is_locked_takes_few_threads_of_any_principal(databases, threads, ask_as):
    [source] = databases("data", 1)
    asked = Inquiries(NativeThreads(threads))
    threads.hold()
    answers = [ask_as(f"{n}", asked, source, lambda limit_s: None) for n in range(10)]
    wait(answers, timeout=0.3)
    threads.let_go()
    for answer in answers:
        answer.result(20)
    assert threads.most == inquiries.OF_ONE_DATABASE


def test_what_could_not_begin_is_told_apart_from_what_is_late(
    databases, at_once, ask_as, threads, until
):
    [source] = databases("data", 1)
    asked = Inquiries(NativeThreads(threads))
    threads.hold()
    late = ask_as("ann", asked, source, lambda limit_s: None)
    until(lambda: threads.at_work)
    busy = ask_as("ann", asked, source, lambda limit_s: None)
    with pytest.raises(SourceBusy, match="earlier statements still run"):
        busy.result(20)
    with pytest.raises(SourceUnavailable):
        late.result(20)


def test_work_is_told_how_long_a_statement_may_take(databases):
    [source] = databases("data", 1)
    asked = Inquiries(NativeThreads(run_here), statement_s=0.7)
    assert asked.ask(source, lambda limit_s: limit_s) == 0.7


def test_nothing_is_kept_of_owners_that_have_asked(databases, ask_as):
    [source] = databases("data", 1)
    asked = Inquiries(NativeThreads(run_here))
    for number in range(20):
        ask_as(f"{number}", asked, source, lambda limit_s: None).result(20)
    gc.collect()
    assert len(asked._questions) <= 1


def test_generated_rows_are_described_as_such():
    [described] = Inquiries(NativeThreads(run_here)).describe_all(
        [GeneratedSource("users", "users", 10)]
    )
    assert (names(described), described.rows_estimate) == (["id", "name"], 10)


def test_a_list_of_nothing_is_there_at_once():
    assert Inquiries(NativeThreads(run_here)).describe_all([]) == []
