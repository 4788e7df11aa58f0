"""Follows the catalogue's logs: each line becomes an event of the topic logs/<name>, once.

Each log has one thread, whatever the number of readers of the topic. The newest event tells which
line was the last, so after a crash the follower continues exactly there. The file of that line is
in state.db, and on the disk before the first line of a file is published. Way in: LogFollowers,
started by a process entry.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

from journal import JournalFailed, JournalFull, RunNative
from sources.catalogue.logs import LogEntry
from sources.logs.file import LogFile
from sources.logs.folder_watch import FolderWatch
from sources.logs.lines import LastLine, as_text
from sources.logs.newest import Share
from sources.logs.position import Position, load_position, save_position
from state import State, StateError
from topics import NotReady, Publication, Topics
from wire.events import NewEvent
from wire.log_lines import gap_event, is_gap, log_event, place_of

log = logging.getLogger(__name__)

# Between two rounds: at 20,000 lines/s, 500 lines are a write, a sync and a push together.
PAUSE_S = 0.025
# The pause when there is more to read at once, so that others have their turn.
TURN_S = 0.002
# For changes that inotify does not report: a file system of another machine, a lost event.
LOOK_EVERY_S = 1.0
# The pause while a renamed file may still grow.
LOOK_SOON_S = 0.05
# The pause after lines that cannot be read or stored.
RETRY_S = 1.0
NOT_READY_S = 0.05
# How often the position is saved. The newest event tells it as well, while it is retained.
NOTE_EVERY_S = 1.0
# The share of a log that was never followed; a hundred bytes a line become three times as many.
MOST_IMPORTED_BYTES = 64 * 1024 * 1024


class LogFollowers:
    """All followers. state: stores the position of each."""

    def __init__(
        self, entries: Iterable[LogEntry], state: State, topics: Topics, run_native: RunNative
    ) -> None:
        self._all = [LogFollower(entry, state, topics, run_native) for entry in entries]

    def start(self) -> None:
        for follower in self._all:
            follower.start()

    def stop(self) -> None:
        for follower in self._all:
            follower.stop()


class _Round(NamedTuple):
    """The result of one read of the log. end: behind the last line; pause_s: until the next."""

    events: list[NewEvent]
    opened: Position | None
    end: int
    pause_s: float | None


class LogFollower:
    """See the module; one log."""

    def __init__(
        self, entry: LogEntry, state: State, topics: Topics, run_native: RunNative
    ) -> None:
        self._name = entry.name
        self._topic = f"logs/{entry.name}"
        self._path = entry.path
        self._links = entry.links
        size_bytes = min(MOST_IMPORTED_BYTES, entry.retain_bytes // 3)
        self._share = Share(entry.retain_lines, size_bytes)
        self._state = state
        self._topics = topics
        self._run_native = run_native
        self._stopped = threading.Event()
        self._trouble = ""
        # The position, the one that was saved last, and when.
        self._position: Position | None = None
        self._noted: Position | None = None
        self._noted_s = 0.0

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._topic, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            # After any end, the follower continues behind the newest event.
            try:
                self._follow()
            except NotReady:
                self._stopped.wait(NOT_READY_S)
            except (OSError, JournalFailed, StateError) as error:
                self._say(str(error))
                self._stopped.wait(RETRY_S)
            except Exception:
                # One bug must not end the follower for good.
                log.exception("following failed log=%s", self._name)
                self._stopped.wait(RETRY_S)

    def _follow(self) -> None:
        """Publish new lines, from behind the newest event on, until it is stopped.

        Raises NotReady, OSError, JournalFailed, StateError.
        """
        newest = self._topics.newest_event(self._topic)
        file = self._run_native(lambda: self._open(newest))
        with closing(file), closing(FolderWatch(self._path, self._run_native)) as watch:
            while not self._stopped.is_set():
                found = self._run_native(lambda: self._look(file))
                self._say(file.trouble)
                self._publish(found)
                if found.pause_s is None:
                    watch.wait(LOOK_EVERY_S)
                else:
                    self._stopped.wait(found.pause_s)

    def _open(self, newest: bytes | None) -> LogFile:
        """Return the log, to be read from behind the newest event on."""
        topic = self._topics.get(self._topic)
        noted = load_position(self._state, self._name) if topic is not None and topic.last else None
        last = None
        if newest is not None and not is_gap(newest):
            place = place_of(newest)
            if noted is None or place.file > noted.number:
                # The file of the saved position was removed.
                noted = Position(place.file, place.end, time.time())
            if place.file == noted.number:
                noted = noted.behind(place.end)
            if (place.file, place.end) == (noted.number, noted.end):
                last = LastLine(place.line, place.cut > 0)
        self._position = self._noted = noted
        return LogFile(self._path, noted, self._share, last, links=self._links)

    def _look(self, file: LogFile) -> _Round:
        """Read the next lines, on a native thread. Raises OSError, StateError."""
        if self._position != self._noted and time.monotonic() - self._noted_s >= NOTE_EVERY_S:
            self._note(self._position)
        batch = file.read()
        events = [
            log_event(as_text(line.text), batch.number, line.end, line.cut) for line in batch.lines
        ]
        pause_s: float | None = None
        if batch.is_full:
            pause_s = TURN_S
        elif file.is_behind:
            pause_s = PAUSE_S if events else 0.0
        elif file.is_waiting:
            pause_s = LOOK_SOON_S
        if not events:
            return _Round([], None, 0, pause_s)
        topic = self._topics.get(self._topic)
        if batch.is_after_loss and topic is not None:
            # The gap is in one publication with the lines after it, so that the newest event is
            # always a line.
            events.insert(0, gap_event(topic.newest, topic.refetch))
        opened = file.opened
        if self._noted is None or self._noted.number != opened.number:
            self._note(opened)
        return _Round(events, opened, batch.lines[-1].end, pause_s)

    def _note(self, position: Position | None) -> None:
        if position is not None:
            save_position(self._state, self._name, position)
            self._noted, self._noted_s = position, time.monotonic()

    def _publish(self, found: _Round) -> None:
        """Publish the lines that were read. Raises NotReady."""
        while found.opened is not None and not self._stopped.is_set():
            try:
                self._topics.publish(self._topic, Publication(found.events), by_client=False)
            except JournalFull as error:
                self._say(f"its lines cannot be kept: {error}")
                self._stopped.wait(RETRY_S)
            else:
                self._position = found.opened.behind(found.end)
                return

    def _say(self, trouble: str) -> None:
        """Log the trouble, once."""
        if trouble and trouble != self._trouble:
            # A log that was never read may not exist yet, such as the server's own at its first
            # start.
            if self._noted is None and trouble == os.strerror(errno.ENOENT):
                log.info("log=%s path=%s: it is not there yet", self._name, self._path)
            else:
                log.warning("log=%s path=%s trouble=%s", self._name, self._path, trouble)
        self._trouble = trouble
