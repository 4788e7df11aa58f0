"""Waits until a log changes: the kernel reports it; where it cannot, the log is checked.

Way in: FolderWatch. Source: inotify(7).
"""

from __future__ import annotations

import logging
import select
import time
from pathlib import Path

from inotify_simple import INotify, flags

from journal import RunNative, run_here

log = logging.getLogger(__name__)

# If inotify is not available; a stat costs some microseconds.
POLL_S = 0.25

_CHANGES = (
    flags.MODIFY | flags.ATTRIB | flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO
    | flags.ONLYDIR
)  # fmt: skip
_LOST = flags.IGNORED | flags.Q_OVERFLOW | flags.UNMOUNT


class FolderWatch:
    """Watches the folder of the log at path; the log need not exist.

    run_native: runs functions that wait for the folder's disk.
    """

    def __init__(self, path: Path, run_native: RunNative = run_here) -> None:
        self._path = path
        self._run_native = run_native
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            log.warning("log=%s error=no_inotify reason=%s", path, error)
        self._is_watched = False

    def wait(self, timeout_s: float) -> None:
        """Wait until the log or a file with a similar name changes, at most so long.

        If changes are not reported, wait a shorter time.
        """
        ends_s = time.monotonic() + timeout_s
        if self._inotify is None or not (self._is_watched or self._begin(self._inotify)):
            time.sleep(min(timeout_s, POLL_S))
            return
        while (left_s := ends_s - time.monotonic()) > 0:
            # Not inotify's own `read`, which waits in poll: a green process has none.
            if not select.select([self._inotify.fileno()], [], [], left_s)[0]:
                return
            if self._has_changed(self._inotify):
                return

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()

    def _begin(self, inotify: INotify) -> bool:
        """Watch the folder; return whether that works. A link's target changes outside of it."""

        def watch() -> bool:
            if self._path.is_symlink():
                return False
            inotify.add_watch(self._path.parent, _CHANGES)
            return True

        try:
            self._is_watched = self._run_native(watch)
        except OSError as error:
            log.debug("log=%s error=not_watched reason=%s", self._path, error)
        return self._is_watched

    def _has_changed(self, inotify: INotify) -> bool:
        changed = False
        for event in inotify.read(timeout=0):
            if event.mask & _LOST:
                self._is_watched = self._is_watched and not event.mask & flags.IGNORED
                changed = True
            changed = changed or event.name.startswith(self._path.name)
        return changed
