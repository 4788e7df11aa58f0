"""One write for all who come at the same time, with real threads."""

import threading

import pytest

from journal.commit import MAX_GROUP, GroupCommit


class Commits:
    """A commit that waits until it may go on. groups: what it got; failing: what it raises."""

    def __init__(self):
        self.groups = []
        self.failing = None
        self.began = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)
        self.group = GroupCommit(self.commit)

    def commit(self, works):
        self.groups.append(works)
        self.began.release()
        self.may_go_on.acquire()
        if self.failing is not None:
            raise self.failing
        return [work * 10 for work in works]

    def waiting(self):
        with self.group._changed:
            return len(self.group._waiting)


@pytest.fixture
def commits():
    return Commits()


@pytest.fixture
def publish(commits):
    """publish(work): in a thread of its own; its outcome comes in publish.outcomes."""
    threads, outcomes = [], {}

    def run(work):
        try:
            outcomes[work] = commits.group.run(work)
        except BaseException as error:  # noqa: BLE001 (it is looked at)
            outcomes[work] = error

    def start(work):
        threads.append(threading.Thread(target=run, args=(work,)))
        threads[-1].start()

    start.outcomes = outcomes
    yield start
    commits.may_go_on.release(1000)
    for thread in threads:
        thread.join(20)


def start_group(commits, publish, until, *works):
    """Have a first one commit, and the others wait for it."""
    publish(works[0])
    commits.began.acquire()
    for number, work in enumerate(works[1:], 1):
        publish(work)
        until(lambda number=number: commits.waiting() == number)


def test_who_comes_first_commits_and_those_behind_share_the_next(commits, publish, until):
    start_group(commits, publish, until, 1, 2, 3, 4)
    commits.may_go_on.release(2)
    until(lambda: len(publish.outcomes) == 4)
    assert commits.groups == [[1], [2, 3, 4]]
    assert publish.outcomes == {1: 10, 2: 20, 3: 30, 4: 40}


def test_what_fails_fails_for_all_of_the_group_and_for_nobody_else(commits, publish, until):
    start_group(commits, publish, until, 1, 2, 3)
    commits.may_go_on.release()
    commits.began.acquire()
    commits.failing = OSError("no room")
    commits.may_go_on.release()
    until(lambda: len(publish.outcomes) == 3)
    assert publish.outcomes == {1: 10, 2: commits.failing, 3: commits.failing}
    commits.failing = None
    publish(5)
    commits.may_go_on.release()
    until(lambda: publish.outcomes.get(5) == 50)


def test_a_leader_that_is_killed_leaves_nobody_waiting(commits, publish, until):
    start_group(commits, publish, until, 1, 2)
    commits.failing = SystemExit()
    commits.may_go_on.release(2)
    until(lambda: len(publish.outcomes) == 2)
    assert isinstance(publish.outcomes[1], SystemExit)
    # The second one led its own group, and was killed too.
    assert isinstance(publish.outcomes[2], SystemExit)


def test_who_was_in_the_group_of_a_killed_leader_is_told(commits, publish, until):
    start_group(commits, publish, until, 1, 2, 3)
    commits.may_go_on.release()
    commits.began.acquire()
    commits.failing = SystemExit()
    commits.may_go_on.release()
    until(lambda: len(publish.outcomes) == 3)
    # Either may have led.
    assert {type(publish.outcomes[2]), type(publish.outcomes[3])} == {SystemExit, RuntimeError}


def test_a_group_is_bounded_and_each_caller_gets_a_turn(commits, publish, until, monkeypatch):
    assert MAX_GROUP > 1000
    monkeypatch.setattr("journal.commit.MAX_GROUP", 2)
    start_group(commits, publish, until, 1, 2, 3, 4, 5, 6)
    commits.may_go_on.release(10)
    until(lambda: len(publish.outcomes) == 6)
    assert commits.groups == [[1], [2, 3], [4, 5], [6]]


def test_many_at_once(commits, publish, until):
    commits.may_go_on.release(1000)
    for work in range(1, 101):
        publish(work)
    until(lambda: len(publish.outcomes) == 100)
    assert publish.outcomes == {work: work * 10 for work in range(1, 101)}
    assert sorted(work for group in commits.groups for work in group) == list(range(1, 101))
