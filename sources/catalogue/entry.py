"""One table of a TOML file, read with care: what is wrong with it is collected, not raised.

Knows nothing of what the keys mean. Way in: read_document, then Entry's methods.
Source: https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sources.errors import shown
from wire.nearest import hint

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Entry:
    """A table of the document.

    key: its full dotted key, "" for the document. values: what it holds. problems: one list for
    the whole document; every method adds what it finds, as `key: what is wrong; what is right`.
    """

    key: str
    values: Mapping[str, Any]
    problems: list[str]

    def child(self, name: str) -> str:
        """Return the full key of name in this table."""
        quoted = name if _BARE_KEY.fullmatch(name) else shown(name)
        return f"{self.key}.{quoted}" if self.key else quoted

    def refuse(self, name: str, problem: str) -> None:
        """Note a problem with the key name, with the whole table when name is ""."""
        self.problems.append(f"{self.child(name) if name else self.key}: {problem}")

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Note every key that is not known, with the nearest that is."""
        for name in self.values:
            if name not in known:
                self.refuse(name, f"unknown key; {hint(name.lower(), known, ask='did you mean ')}")

    def text(self, name: str) -> str:
        """Return the text at name; "" when there is no usable one, and then it is noted."""
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

    def flag(self, name: str) -> bool:
        """Return whether name is true; not when it is missing or no boolean, which is noted."""
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            self.refuse(name, f"{shown(value)} cannot be used; true or false would be right")
        return value is True

    def count(self, name: str, default: int, least: int, most: int) -> int:
        """Return the whole number at name; default when there is none, or none in the bounds.

        Only the latter is noted.
        """
        value = self.values.get(name, default)
        # Not isinstance: to Python, but not to TOML, true is an integer.
        if type(value) is int and least <= value <= most:
            return value
        right = f"a whole number from {least} to {most}"
        self.refuse(name, f"{shown(value)} cannot be used; {right} would be right")
        return default

    def tables(self, name: str, like: str) -> Iterator[tuple[str, Entry]]:
        """Yield each table of tables at name; what is none is noted. like: how one is written."""
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
    """Return the document in text; an empty one, with the line as its problem, if it is no TOML."""
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
