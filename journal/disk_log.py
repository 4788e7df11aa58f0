"""An event log in a folder: durable events are on the disk before their publisher has a receipt.

The folder belongs to one process at a time, which holds `@lock`. `@epoch` has the incarnation. Each
durable topic is a folder with its segments, its `receipts` and its `maker`. Topics that are not
durable are in memory, in one order with the others. Way in: DiskLog.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from journal.capacity import DEFAULT_LIMIT
from journal.disk_records import DiskRecords
from journal.epoch import begin_epoch
from journal.errors import JournalFailed, cannot_open
from journal.event_log import PayloadLayout, Policy, Size
from journal.memory_log import MemoryLog
from journal.native import RunNative, run_here
from journal.receipts import Receipts
from journal.topic_log import TopicLog

# A topic's folder has the topic's name, with this for each slash: names of 200 characters fit.
_SLASH = ","


class DiskLog(MemoryLog):
    """See EventLog. folder: created by try_open. run_native: runs what waits for the disk."""

    def __init__(
        self,
        folder: Path,
        layout: PayloadLayout,
        limit: Size = DEFAULT_LIMIT,
        run_native: RunNative = run_here,
    ) -> None:
        super().__init__(layout, limit, run_native)
        self.folder = folder
        self._lock_file: IO[str] | None = None

    def try_open(self) -> bool:
        if self._is_closed or not self._run_native(self._take_folder):
            return False
        if self._is_closed:
            # Closed while it waited: the next process needs the folder.
            self.close()
            return False
        self._order.epoch = self._run_native(lambda: begin_epoch(self.folder / "@epoch"))
        return True

    def _take_folder(self) -> bool:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open(self.folder / "@lock", "w")  # noqa: SIM115 (held until it is closed)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._lock_file = file
        return True

    def close(self) -> None:
        super().close()
        if self._lock_file is not None:
            self._lock_file.close()

    def topics(self) -> list[str]:
        return sorted({*self._topics, *self._run_native(self._on_disk)})

    def _on_disk(self) -> list[str]:
        return [path.name.replace(_SLASH, "/") for path in self.folder.iterdir() if path.is_dir()]

    def _open(self, topic: str, policy: Policy, maker: str) -> TopicLog:
        if not policy.is_durable:
            return super()._open(topic, policy, maker)
        folder = self.folder / topic.replace("/", _SLASH)

        def open_on_disk() -> tuple[DiskRecords, Receipts, str]:
            with ExitStack() as undo:
                if not folder.exists():
                    undo.callback(shutil.rmtree, folder, ignore_errors=True)
                record = self._shared.layout.record
                records = DiskRecords(folder, record, policy.retention, self._run_native)
                undo.callback(records.close)
                receipts = Receipts(folder / "receipts")
                receipts.load(records.last)
                known_maker = _maker_of(folder, maker, is_new=not records.last)
                undo.pop_all()
            return records, receipts, known_maker

        try:
            records, receipts, known_maker = self._run_native(open_on_disk)
        except OSError as error:
            raise cannot_open(error) from error
        try:
            log = TopicLog(topic, policy, records, receipts, known_maker, self._shared)
            with suppress(JournalFailed):  # each read reports it
                log.expire(time.time())
        except BaseException:
            records.close()
            raise
        return log


def _maker_of(folder: Path, maker: str, *, is_new: bool) -> str:
    """Return the maker of the topic of this folder. maker: that of a new topic, "" for none.

    It is stored, so that quotas survive a restart. Raises OSError.
    """
    path = folder / "maker"
    if maker and is_new:
        path.write_text(maker, "utf-8", "surrogatepass")
    with suppress(FileNotFoundError, UnicodeDecodeError):
        return path.read_text("utf-8", "surrogatepass")
    return ""
