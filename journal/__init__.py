"""Where what flows is kept: append-only bytes with positions, and readers that are only cursors.

contract: what every journal promises. memory, disk: the two kinds. progress: how far a journal
has come and who waits for more. reader: a cursor that follows. native: where blocking work is run.
records: what every journal of records promises. memory_records, disk_records: the two kinds; the
latter are segments, each a segment. descriptor: files that close themselves.
Knows no HTTP and no green library.
"""

from journal.contract import Complete, End, Failed, Journal
from journal.disk import DiskJournal
from journal.disk_records import DiskRecords
from journal.errors import JournalEnded, JournalError, JournalFailed, JournalFull, ReaderLeft
from journal.memory import MemoryJournal
from journal.memory_records import MemoryRecords
from journal.native import RunNative, run_here
from journal.reader import Reader
from journal.records import Layout, Records, Retention

__all__ = [
    "Complete",
    "DiskJournal",
    "DiskRecords",
    "End",
    "Failed",
    "Journal",
    "JournalEnded",
    "JournalError",
    "JournalFailed",
    "JournalFull",
    "Layout",
    "MemoryJournal",
    "MemoryRecords",
    "Reader",
    "ReaderLeft",
    "Records",
    "Retention",
    "RunNative",
    "run_here",
]
