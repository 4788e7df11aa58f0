"""Append-only storage: journals of bytes, journals of records, and event logs.

event_log: the contract of event logs, which hold topics of events in one order. memory_log,
disk_log: its two kinds. topic_log: one topic of either kind. receipts: what was published with
which idempotency key. commit: group commit. sequence, epoch, capacity: what the topics of a log
share. layouts: how payloads become lines.
records: the contract of journals of records. memory_records, disk_records: its two kinds.
segment, segments: the files of the disk kind.
contract: the contract of journals of bytes. memory, disk: its two kinds. progress: the size and
the end of a journal, with waiting. reader: a cursor that follows a journal.
native: runs work that may block. descriptor: files that close themselves. errors: what can go
wrong. Knows no HTTP and no green library.
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
    NewEvents,
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
from journal.reader import ByteReader
from journal.records import Bounds, Layout, Records, Retention

__all__ = [
    "BARE",
    "EVENTS",
    "Bounds",
    "ByteReader",
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
    "NewEvents",
    "NotReady",
    "PayloadLayout",
    "Policy",
    "Publication",
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
