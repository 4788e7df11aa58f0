"""The texts are in plain English of today: none has a word of the lists below."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READ = {".md", ".html", ".js", ".mjs", ".py", ".toml", ".sh", ".conf", ".service", ".yaml", ""}
# Of others, or made by machines; and this file, which has to name the words.
LEFT_OUT = {"instance", "node_modules", "vendor", "__pycache__", "test_words.py"}

# The client, the caller, the user, a token: never a man. What is archaic has a word of today. In
# names the words are between underscores.
NOT_OURS = re.compile(
    r"(?<![^\W_])(?:he|him|his|himself|whoever|whomever|shall|oftener|to be had)(?![^\W_])",
    re.IGNORECASE,
)
# Once our own words for a recording store, to read, a ticker, a self-check, monkey-patching, to
# evict, remedies and the original contract: docs/words.md has the field's terms.
PRIVATE = re.compile(
    r"\b(?:shelf|shelves|pours?|poured|pouring|metronomes?|canary|canaries|going green|let go of"
    r"|cures?|textbooks?)\b",
    re.IGNORECASE,
)
# Not for people who use the server, or full of names: of keys, and of benchmarks in their tables.
NOT_OF_USERS = {"tests", "benchmarks", "decisions", "benchmarks.md"}


def texts() -> list[Path]:
    """Return every text of the project that people read."""
    paths = (
        path.relative_to(ROOT)
        for path in ROOT.rglob("*")
        if path.suffix in READ or path.name == "openapi.json"
    )
    return sorted(
        path
        for path in paths
        if (ROOT / path).is_file()
        and not LEFT_OUT & {*path.parts}
        and not path.parts[0].startswith(".")
    )


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what a user may read of a text, and the line: no code, no `names`, no dotted.names."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from messages_in(text)
    else:
        for number, line in enumerate(text.splitlines(), 1):
            yield number, re.sub(r"`[^`]*`|\w+\.\w+", "", line)


def messages_in(code: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of several words, but for docstrings: errors, log lines, help."""
    docstrings = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr):
            docstrings.add(node.value)
        elif isinstance(node, ast.Constant) and node not in docstrings and " " in str(node.value):
            yield node.lineno, str(node.value)


def test_the_texts_are_found():
    found = {path.parts[0] for path in texts()}
    assert {"README.md", "Makefile", "docs", "deploy", "templates", "sockets", "tests"} <= found


@pytest.mark.parametrize(
    ("text", "found"),
    [("Tell him.", ["him"]), ("def test_his_turn():", ["his"]), ("The history is this.", [])],
)
def test_words_are_whole(text, found):
    assert NOT_OURS.findall(text) == found


def test_messages_are_strings_and_no_docstrings():
    code = '"""Poured."""\nshelf = {"shelf": 1}\nraise E(f"{shelf}: let go of it")'
    assert [PRIVATE.findall(text) for _, text in messages_in(code)] == [["let go of"]]


def test_no_text_has_such_a_word():
    found = [
        f"{path}:{number}: {word}"
        for path in texts()
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        for word in NOT_OURS.findall(line)
    ]
    assert found == []


def test_no_user_reads_a_private_word():
    found = [
        f"{path}:{number}: {word}"
        for path in texts()
        if not NOT_OF_USERS & {*path.parts} and path.suffix != ".toml"
        for number, text in prose_of(path)
        for word in PRIVATE.findall(text)
    ]
    assert found == []
