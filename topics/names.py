"""Topic names, and patterns for many of them. Pure.

Way in: check_name for publishers, Patterns for readers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from topics.errors import MalformedTopic, TooManyTopics

# Fits a log line and the head of a request.
MAX_NAME_CHARS = 200
# On one connection: each is a cursor to move and a place in presence.
MAX_PATTERNS = 64

_SEGMENT = "[A-Za-z0-9_.~-]{1,100}"
_NAME = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_RIGHT = "segments of letters, digits and _ - . ~ joined by /"
# /events/<topic>/readers is an address of its own.
_RESERVED_END = "readers"


def check_name(name: object) -> str:
    """Return name if a topic can have it. Raises MalformedTopic."""
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        raise MalformedTopic(f"a topic is {_RIGHT}, at most {MAX_NAME_CHARS} characters")
    segments = name.split("/")
    if segments[-1] == _RESERVED_END or not {".", ".."}.isdisjoint(segments):
        raise MalformedTopic("no segment of a topic is . or .., and the last is not readers")
    return name


class Patterns(NamedTuple):
    """The topics of a reader. text: as in the request. names: single topics. prefixes: of many."""

    text: str
    names: frozenset[str]
    prefixes: tuple[str, ...]

    @classmethod
    def parse(cls, text: object) -> Patterns:
        """Return the patterns in a list joined by commas: names, `logs/*`, `*`.

        Raises MalformedTopic, TooManyTopics.
        """
        if not isinstance(text, str):
            raise MalformedTopic(f"a topic is a text: {_RIGHT}, also with * as its last segment")
        words = text.split(",")
        if len(words) > MAX_PATTERNS:
            raise TooManyTopics(f"a connection follows at most {MAX_PATTERNS} topics")
        prefixes = []
        names = []
        for word in words:
            if word == "*":
                prefixes.append("")
            elif word.endswith("/*"):
                check_name(word[:-2])
                prefixes.append(word[:-1])
            else:
                names.append(check_name(word))
        return cls(text, frozenset(names), tuple(prefixes))

    def meets(self, other: Patterns) -> bool:
        """Is there a name that both match?"""
        return (
            any(map(self.match, other.names))
            or any(map(other.match, self.names))
            or any(
                a.startswith(b) or b.startswith(a) for a in self.prefixes for b in other.prefixes
            )
        )

    def common(self, pattern: str) -> list[str]:
        """Return the patterns with a * for the names that both this and pattern match."""
        prefix = pattern.removesuffix("*")
        if prefix == pattern:
            return []
        return [
            max(own, prefix, key=len) + "*"
            for own in self.prefixes
            if own.startswith(prefix) or prefix.startswith(own)
        ]

    def without(self, is_hidden: Callable[[str], bool]) -> Patterns:
        """Return these without the single names that are hidden."""
        return self._replace(names=frozenset(n for n in self.names if not is_hidden(n)))

    def match(self, name: str) -> bool:
        """Is name one of these topics?"""
        return name in self.names or name.startswith(self.prefixes)
