"""Reads names with values, and collects their problems rather than raise the first one.

For the settings and the catalogue. Pure: knows nothing of the meaning of the keys. Way in:
read_document for TOML (https://toml.io/en/v1.0.0), or Entry; then Entry's methods.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from wire.nearest import hint

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# A quoted name or value is cut here, so that a message stays a line.
_SHOWN_CHARACTERS = 80


class ValueKind(NamedTuple):
    """The allowed values of a name. right: as text for messages; read: returns None for others."""

    right: str
    read: Callable[[Any], Any]


def whole(low: int, high: int) -> ValueKind:
    """Whole numbers, low <= value <= high."""
    right = f"a whole number from {low} to {high}"
    # Not isinstance: to Python, but not to TOML, true is an integer.
    return ValueKind(
        right, lambda value: value if type(value) is int and low <= value <= high else None
    )


FLAG = ValueKind("true or false", lambda value: value if isinstance(value, bool) else None)


@dataclass(frozen=True)
class Entry:
    """A table of a document.

    key: its full dotted key, "" for the document. problems: one list for the whole document; every
    method adds its own, as `key: the problem; what would be right`.
    """

    key: str
    values: Mapping[str, Any]
    problems: list[str]

    def child(self, name: str) -> str:
        """Return the full key of name in this table."""
        quoted = name if _BARE_KEY.fullmatch(name) else shown(name)
        return f"{self.key}.{quoted}" if self.key else quoted

    def refuse(self, name: str, problem: str) -> None:
        """Note a problem of the key name, or of the whole table when name is ""."""
        self.problems.append(f"{self.child(name) if name else self.key}: {problem}")

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Note every unknown key, with the nearest known one."""
        for name in self.values:
            if name not in known:
                self.refuse(name, f"unknown key; {hint(name.lower(), known, ask='did you mean ')}")

    def text(self, name: str) -> str:
        """Return the text at name; "" when there is no usable one, which is noted."""
        value = self.values.get(name)
        if isinstance(value, str) and value.strip() and "\0" not in value:
            return value
        if value is None:
            self.refuse(name, "is missing")
        elif isinstance(value, str):
            self.refuse(name, f"{shown(value)} cannot be used; it has to name something")
        else:
            self.refuse(name, f"{shown(value)} is not a text; quotes would be right")
        return ""

    def take(self, name: str, kind: ValueKind, default: Any = None) -> Any:
        """Return the value at name, as kind reads it; default if it is missing or wrong.

        A wrong value is noted, and so is a missing one if default is None.
        """
        value = self.values.get(name)
        read = default if value is None else kind.read(value)
        if read is None:
            self.refuse(name, self.wrong(value, kind))
        return default if read is None else read

    def wrong(self, value: object, kind: ValueKind) -> str:
        """Return the problem of a value that is not allowed. value: None if it is missing."""
        found = "is missing" if value is None else f"{shown(value)} cannot be used"
        return f"{found}; {kind.right} would be right"

    def tables(self, name: str, like: str) -> Iterator[tuple[str, Entry]]:
        """Yield each table of the tables at name; other values are noted. like: an example."""
        tables = self.values.get(name, {})
        if not isinstance(tables, dict):
            self.refuse(name, f"{shown(tables)} is not a table; {like} would be right")
            return
        parent = Entry(self.child(name), tables, self.problems)
        for child, values in tables.items():
            if isinstance(values, dict):
                yield child, Entry(parent.child(child), values, self.problems)
            else:
                parent.refuse(child, f"{shown(values)} is not a table; {like} would be right")


def read_document(text: str) -> Entry:
    """Return the document in text; if it is no TOML, an empty one with a problem."""
    problems: list[str] = []
    try:
        values = tomllib.loads(text)
    # Not only TOMLDecodeError: a number of 5,000 digits is a plain ValueError.
    except ValueError as error:
        values = {}
        problems.append(_syntax_problem(str(error), text))
    return Entry("", values, problems)


def _syntax_problem(message: str, text: str) -> str:
    """Return tomllib's message with the line in front."""
    if place := re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message, re.DOTALL):
        return f"line {place[2]}, column {place[3]}: {place[1]}"
    end = " (at end of document)"
    if message.endswith(end):
        return f"line {len(text.splitlines())}: {message.removesuffix(end)}"
    return f"not TOML: {message}"


def shown(value: object) -> str:
    """Return a value for a message: on one line and not too long."""
    if isinstance(value, str):
        return json.dumps(value[:_SHOWN_CHARACTERS], ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "a number past 64 bits"
    return str(value)[:_SHOWN_CHARACTERS]
