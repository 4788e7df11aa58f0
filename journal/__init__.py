"""Where what flows is kept: append-only bytes with positions, and readers that are only cursors.

contract: what every journal promises. memory, disk: the two kinds. progress: how far a journal
has come and who waits for more. reader: a cursor that follows. native: where blocking work is run.
Knows no HTTP and no green library.
"""

from journal.contract import Complete, End, Failed, Journal
from journal.disk import DiskJournal
from journal.errors import JournalEnded, JournalError, JournalFailed, JournalFull, ReaderLeft
from journal.memory import MemoryJournal
from journal.native import RunNative, run_here
from journal.reader import Reader

__all__ = [
    "Complete",
    "DiskJournal",
    "End",
    "Failed",
    "Journal",
    "JournalEnded",
    "JournalError",
    "JournalFailed",
    "JournalFull",
    "MemoryJournal",
    "Reader",
    "ReaderLeft",
    "RunNative",
    "run_here",
]
