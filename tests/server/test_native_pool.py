"""Work on a native thread: its result, what goes on meanwhile, and those who do not wait for it.

Each test is a process, since it has a hub of its own and is patched as the server is.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HEAD = """
from server.monkey_patching import eventlet, patch_everything
patch_everything()
import threading
from server.native_pool import NativePool
native = eventlet.patcher.original("threading")
pool = NativePool(3)
"""


@pytest.fixture
def run():
    """run(code): what it prints, by lines."""

    def run(code):
        command = [sys.executable, "-c", HEAD + textwrap.dedent(code)]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\n")[:-1]

    return run


def test_the_result_comes_back_from_another_thread(run):
    assert run("""
        here = native.get_ident()
        print(pool.execute(lambda: native.get_ident() != here), pool.execute(lambda: None))
    """) == ["True None"]


def test_an_error_comes_back_with_where_it_was_raised(run):
    (line,) = run("""
        import traceback
        def fails():
            raise OSError("of the disk")
        for kind in range(2):
            try:
                pool.execute(fails)
            except OSError as error:
                told = [each.name for each in traceback.extract_tb(error.__traceback__)]
        print(told[-1], pool.execute(lambda: "and goes on"))
    """)
    assert line == "fails and goes on"


def test_the_others_go_on_meanwhile(run):
    """The work waits for what only another greenlet does."""
    assert run("""
        go = native.Event()
        waiting = eventlet.spawn(pool.execute, lambda: go.wait(20))
        eventlet.spawn(go.set)
        print(waiting.wait())
    """) == ["True"]


def test_many_at_once_each_get_their_own(run):
    assert run("""
        pile = eventlet.GreenPile(200)
        for number in range(1000):
            pile.spawn(pool.execute, lambda number=number: number * 2)
        print(list(pile) == [number * 2 for number in range(1000)])
    """) == ["True"]


def test_no_more_are_under_way_than_there_are_threads(run):
    assert run("""
        go, begun = native.Event(), []
        def work():
            begun.append(native.get_ident())
            go.wait(20)
        waiting = [eventlet.spawn(pool.execute, work) for _ in range(10)]
        while len(begun) < 3:
            eventlet.sleep(0.001)
        at_once = len(begun)
        go.set()
        for each in waiting:
            each.wait()
        print(at_once, len(begun), len(set(begun)) <= 3)
    """) == ["3 10 True"]


@pytest.mark.parametrize("how", ["eventlet.Timeout(0.01, False)", "killed()"])
def test_who_does_not_wait_any_more_is_not_woken_by_the_result(run, how):
    """It waits for something else by then, which a switch to it would take for done."""
    assert run(f"""
        from contextlib import contextmanager
        go, second, order = native.Event(), eventlet.Event(), []
        @contextmanager
        def killed():
            greenlet = eventlet.getcurrent()
            eventlet.spawn_after(0.01, greenlet.throw, RuntimeError)
            try:
                yield
            except RuntimeError:
                pass
        def ask():
            with {how}:
                pool.execute(lambda: go.wait(20))
                order.append("wrong")
            go.set()
            order.append(second.wait())
            order.append(pool.execute(lambda: "third"))
        asking = eventlet.spawn(ask)
        while not go.is_set():
            eventlet.sleep(0.001)
        print(pool.execute(lambda: "behind it"))
        eventlet.sleep(0.01)
        second.send("second")
        asking.wait()
        print(*order)
    """) == ["behind it", "second third"]


def test_an_error_behind_one_result_does_not_keep_the_next(run):
    """Results that come together are given in one go."""
    assert run("""
        import sys
        sys.stderr = open("/dev/null", "w")
        go, both = native.Event(), native.Barrier(3)
        def fails():
            pool.execute(lambda: (both.wait(20), go.wait(20)))
            raise RuntimeError("the hub tells it")
        for _ in range(2):
            eventlet.spawn_n(fails)
        last = eventlet.spawn(pool.execute, lambda: (both.wait(20), go.wait(20), "last")[2])
        eventlet.sleep(0)
        go.set()
        print(last.wait())
    """) == ["last"]


def test_the_end_waits_for_what_was_asked_for(run):
    assert run("""
        import atexit
        atexit.register(pool.stop)
        begun, go = native.Event(), native.Event()
        def work():
            begun.set()
            go.wait(20)
            print("done", flush=True)
        eventlet.spawn(pool.execute, work)
        while not begun.is_set():
            eventlet.sleep(0.001)
        go.set()
    """) == ["done"]


def test_two_that_log_at_once_go_on(run):
    assert run("""
        import logging, time
        sleep = eventlet.patcher.original("time").sleep
        class Slow(logging.Handler):
            def emit(self, record):
                sleep(0.1)
        log = logging.getLogger("slow")
        log.addHandler(Slow())
        with eventlet.Timeout(10):
            threads = [eventlet.spawn(pool.execute, lambda: log.warning("x")) for _ in range(3)]
            for each in threads:
                each.wait()
        print("done")
    """) == ["done"]


def test_an_error_of_one_who_waited_ends_only_that_one(run):
    assert run("""
        def fail():
            pool.execute(lambda: None)
            raise ValueError("of the greenlet")
        eventlet.spawn_n(fail)
        eventlet.sleep(0.2)
        with eventlet.Timeout(10):
            print(pool.execute(lambda: "goes on"))
    """) == ["goes on"]


def test_an_error_of_one_who_was_woken_ends_only_that_one(run):
    assert run("""
        import socket
        from server.green_sockets import Lookout
        woken = []
        def wake(client):
            woken.append(client)
            raise ValueError(client)
        lookout = Lookout(wake)
        pairs = [socket.socketpair() for _ in range(2)]
        for name, (ours, theirs) in enumerate(pairs):
            lookout.watch(ours.fileno(), name)
            theirs.send(b"x")
            eventlet.sleep(0.2)
        print(woken)
    """) == ["[0, 1]"]
