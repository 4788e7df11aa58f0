"""Where what flows is kept: journals of bytes, journals of records, and event logs.

event_log: what every event log promises: topics of events in one order. memory_log, disk_log: the
two kinds. topic_log, receipts, commit: one topic of theirs, and how events come into it. sequence,
epoch, capacity: what their topics share. layouts: how payloads become lines.
records: what every journal of records promises. memory_records, disk_records: the two kinds; the
latter has segments, each a segment.
contract: what every journal of bytes promises. memory, disk: the two kinds. progress: how far a
journal has come, for those that wait for more. reader: a cursor that follows.
native: where blocking work is run. descriptor: files that close themselves. Knows no HTTP and no
green library.
"""

from journal.contract import Complete, End, Failed, Journal
from journal.disk import DiskJournal
from journal.disk_log import DiskLog
from journal.disk_records import DiskRecords
from journal.errors import (
    ConditionFailed,
    JournalEnded,
    JournalError,
    JournalFailed,
    JournalFull,
    KeyReused,
    NotReady,
    ReaderLeft,
    SequenceConflict,
    StaleProducer,
    TopicClosed,
    TopicsFull,
)
from journal.event_log import (
    Condition,
    EventLog,
    News,
    PayloadLayout,
    Policy,
    Publication,
    Receipt,
    Retained,
    Size,
)
from journal.layouts import BARE, EVENTS
from journal.memory import MemoryJournal
from journal.memory_log import MemoryLog
from journal.memory_records import MemoryRecords
from journal.native import RunNative, run_here
from journal.reader import Reader
from journal.records import Bounds, Layout, Records, Retention

__all__ = [
    "BARE",
    "EVENTS",
    "Bounds",
    "Complete",
    "Condition",
    "ConditionFailed",
    "DiskJournal",
    "DiskLog",
    "DiskRecords",
    "End",
    "EventLog",
    "Failed",
    "Journal",
    "JournalEnded",
    "JournalError",
    "JournalFailed",
    "JournalFull",
    "KeyReused",
    "Layout",
    "MemoryJournal",
    "MemoryLog",
    "MemoryRecords",
    "News",
    "NotReady",
    "PayloadLayout",
    "Policy",
    "Publication",
    "Reader",
    "ReaderLeft",
    "Receipt",
    "Records",
    "Retained",
    "Retention",
    "RunNative",
    "SequenceConflict",
    "Size",
    "StaleProducer",
    "TopicClosed",
    "TopicsFull",
    "run_here",
]
