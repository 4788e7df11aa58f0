"""The catalogue's [topics.*]: which topics may exist, and how much of each is retained.

Way in: read_topics. The limits of the server are not checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wire.entry import FLAG, Entry, shown, whole

# A name, or a prefix of names: demo/*. The same form as in topics/names.py.
_SEGMENT = r"(?!\.{1,2}(/|$))[A-Za-z0-9_.~-]{1,100}"
_PATTERN = re.compile(rf"(?=.{{1,200}}$){_SEGMENT}(/{_SEGMENT})*(/\*)?")
# Topics to which the server itself publishes.
BUILT_IN = ("status", "exports", "exports/*", "logs/*")

_KEYS = ("durable", "latest", "retain_events", "retain_s", "retain_bytes")
_MOST = {"retain_events": 10**9, "retain_s": 10**9, "retain_bytes": 2**50}
# In memory, 10,000 events of 200 bytes are 2 MB: a thousand topics fit a small server, since few
# are full. On disk, the numbers of the design's example, and what a small disk can spare.
_DEFAULTS = {
    False: {"retain_events": 10_000, "retain_s": 3_600, "retain_bytes": 16 * 1024**2},
    True: {"retain_events": 100_000, "retain_s": 86_400, "retain_bytes": 1024**3},
}


@dataclass(frozen=True)
class TopicEntry:
    """The topics of one name, or of a pattern that ends with `/*`.

    durable: on disk, and there again after a restart. latest: a reader that is behind gets only the
    newest event of each name. retain_events, retain_s, retain_bytes: the most that each topic
    retains.
    """

    pattern: str
    durable: bool
    latest: bool
    retain_events: int
    retain_s: int
    retain_bytes: int


def read_topics(document: Entry) -> Mapping[str, TopicEntry]:
    """Return the document's [topics.*], by pattern; problems are added to document's."""
    like = '[topics.<name>] or [topics."<name>/*"]'
    return {name: _read(name, entry) for name, entry in document.tables("topics", like)}


def _read(name: str, entry: Entry) -> TopicEntry:
    if not _PATTERN.fullmatch(name) or f"/{name}".removesuffix("/*").endswith("/readers"):
        right = "letters, digits and _ - . ~ in segments joined by /, with /* at the end for many"
        entry.refuse("", f"{shown(name)} is not a topic; {right}, would be right")
    if name in BUILT_IN or name.startswith(("exports/", "logs/")):
        entry.refuse("", f"{name} is the server's own; another name would be right")
    entry.refuse_unknown(_KEYS)
    durable, latest = entry.take("durable", FLAG, False), entry.take("latest", FLAG, False)
    if durable and latest:
        entry.refuse("latest", "a durable topic keeps every event; leave one of the two out")
    kept = {key: entry.take(key, whole(1, _MOST[key]), n) for key, n in _DEFAULTS[durable].items()}
    return TopicEntry(name, durable, latest, **kept)
