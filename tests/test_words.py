"""The texts are in plain English of today: none has one of the words that it has no use for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READ = {".md", ".html", ".js", ".py", ".toml", ".sh", ".conf", ".service"}
# Of others, made by machines, or not for people who run or read the server.
LEFT_OUT = {"tests", "benchmarks", "instance", "node_modules", "vendor", "__pycache__"}
# The client, the caller, the user, a token: never a man. What is archaic has a word of today.
NOT_OURS = re.compile(
    r"\b(?:he|him|his|himself|whoever|whomever|shall|oftener|to be had)\b", re.IGNORECASE
)


def texts() -> list[Path]:
    """Return every text of the project that people read, but for tests and benchmarks."""
    paths = (
        path.relative_to(ROOT)
        for path in ROOT.rglob("*")
        if path.suffix in READ or path.name == "openapi.json"
    )
    return sorted(
        path for path in paths if not LEFT_OUT & {*path.parts} and not path.parts[0].startswith(".")
    )


def test_the_texts_are_found():
    assert {"README.md", "docs", "templates", "static", "sockets"} <= {
        path.parts[0] for path in texts()
    }


@pytest.mark.parametrize(("text", "found"), [("Tell him.", ["him"]), ("The history is this.", [])])
def test_words_are_whole(text, found):
    assert NOT_OURS.findall(text) == found


def test_no_text_has_such_a_word():
    found = [
        f"{path}:{number}: {word}"
        for path in texts()
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        for word in NOT_OURS.findall(line)
    ]
    assert found == []
