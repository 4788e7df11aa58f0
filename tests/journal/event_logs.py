"""The kinds of event log that the contract suite runs on, and what it asks of them.

A further kind is one more class here: how it is opened, and what survives that it is closed.
"""

import json
from typing import NamedTuple

from journal import BARE, EVENTS, DiskLog, MemoryLog, Policy, Publication, Retention, Size
from journal.layouts import payload_of
from wire.events import NewEvent

AMPLE = Retention(max_records=1_000_000, max_age_s=1e9, max_bytes=1 << 30)
AMPLE_SIZE = Size(1 << 30, 1 << 30)


class Memory:
    """Gone with the process."""

    is_durable = False

    def __init__(self, folder):
        pass

    def make(self, layout=EVENTS, limit=AMPLE_SIZE):
        return MemoryLog(layout, limit)

    def policy(self, **changes):
        return Policy(AMPLE)._replace(**changes)


class Disk(Memory):
    """There again when the folder is opened anew."""

    is_durable = True

    def __init__(self, folder):
        self.folder = folder

    def make(self, layout=EVENTS, limit=AMPLE_SIZE):
        return DiskLog(self.folder, layout, limit)

    def policy(self, **changes):
        return Policy(AMPLE, is_durable=True)._replace(**changes)


class InMemoryOfDisk(Disk):
    """A topic that is not durable, of a log that has a folder."""

    is_durable = False

    def policy(self, **changes):
        return Policy(AMPLE)._replace(**changes)


KINDS = {"memory": Memory, "disk": Disk, "in memory, of the disk kind": InMemoryOfDisk}


class Heard(NamedTuple):
    """What a listener was told, in order. published: lines, by topic."""

    told: list
    topics: list

    def on_news(self, news):
        self.told.append((news.topic, news.first, list(news.lines)))

    def on_topic(self, name, maker, kept):
        self.topics.append((name, maker))

    @property
    def lines(self):
        return [line for _, _, lines in self.told for line in lines]


def publication(*data, **how):
    return Publication([NewEvent("message", json.dumps(each)) for each in data], **how)


def read_all(kept, start=None, max_bytes=1 << 16):
    lines, at = [], kept.bounds().first if start is None else start
    while found := kept.read(at, max_bytes):
        lines += found
        at += len(found)
    return lines


def data_of(kept):
    return [json.loads(line)["data"] for line in read_all(kept)]


def payloads_of(kept):
    return [payload_of(line) for line in read_all(kept)]


__all__ = ["AMPLE", "BARE", "EVENTS", "KINDS", "Heard", "data_of", "payloads_of", "publication"]
