"""Native threads for work that would hold the hub: work goes to one and its result comes back.

It replaces eventlet's tpool, which takes twice the processor time: two queues made of conditions,
and a socket on which a greenlet waits for each result. Here work goes to a thread by a queue in C,
and its result comes back by an eventfd that the hub watches as long as it runs.

Way in: NativePool.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from server.monkey_patching import eventlet, go_on, nothing

Result = TypeVar("Result")

# The system's own, not the patched ones that make greenlets.
_threading = eventlet.patcher.original("threading")
_queue = eventlet.patcher.original("queue")


class _Errand:
    """Work, and then its result. greenlet: the waiting one, None if it no longer waits."""

    __slots__ = ("error", "greenlet", "is_done", "result", "work")

    def __init__(self, work: Callable[[], Any], greenlet: Any) -> None:
        self.work = work
        self.greenlet = greenlet
        self.is_done = False
        self.result: Any = None
        self.error: BaseException | None = None


class NativePool:
    """count: of threads. They start when they are first needed, in the hub's process."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._threads: list[Any] = []
        self._asked = _queue.SimpleQueue()
        self._done: deque[_Errand] = deque()
        self._bell = -1

    def execute(self, work: Callable[[], Result], /) -> Result:
        """Return the result of work, or raise its error; the other greenlets run meanwhile.

        Only for the hub's thread. If the greenlet is ended, the work continues and its result is
        dropped.
        """
        if not self._threads:
            self._start()
        hub = eventlet.hubs.get_hub()
        errand = _Errand(work, eventlet.getcurrent())
        self._asked.put(errand)
        try:
            while not errand.is_done:
                hub.switch()
        finally:
            errand.greenlet = None
        if errand.error is not None:
            error, errand.error = errand.error, None
            try:
                raise error
            finally:
                # The error would hold this frame, which holds the error.
                del error
        result: Result = errand.result
        return result

    def stop(self) -> None:
        """Wait until all requested work is done. Called at the end of the process."""
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _start(self) -> None:
        if self._bell < 0:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            hub = eventlet.hubs.get_hub()
            hub.add(hub.READ, self._bell, self._deliver, nothing, nothing)
        for number in range(self._count):
            name = f"native {number}"
            thread = _threading.Thread(target=self._run, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _run(self) -> None:
        while (errand := self._asked.get()) is not None:
            try:
                errand.result = errand.work()
            except BaseException as error:  # noqa: BLE001 (the waiting greenlet gets it)
                errand.error = error
            errand.work = None
            errand.is_done = True
            self._done.append(errand)
            del errand
            os.eventfd_write(self._bell, 1)

    def _deliver(self, descriptor: int) -> None:
        """Resume the greenlets whose work is done. Called in the hub."""
        with suppress(BlockingIOError):
            os.eventfd_read(descriptor)
        while self._done:
            greenlet = self._done.popleft().greenlet
            if greenlet is not None:
                go_on(greenlet)
