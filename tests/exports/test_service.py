"""The contract that streaming/ and sockets/ use of exports: they know nothing else of the room."""

from __future__ import annotations

import ast
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent

# What they may name, by module: the contract, what it takes and gives, and what makes it.
PUBLIC = {
    "exports.service": {"ExportService", "Point", "View"},
    "exports.export": {"Export"},
    "exports.spec": {"ExportSpec"},
    "exports.spec_reader": {"SpecReader", "file_format_of"},
    "exports.definitions": {"Definitions"},
    "exports.errors": None,
}


def named_of_exports(path):
    """Yield each module of exports that a file names, with what it names of it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "exports":
            for alias in node.names:
                yield node.module, alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "exports":
                    yield alias.name, "*"


def test_streaming_and_sockets_use_the_contract_only():
    files = [path for room in ("streaming", "sockets") for path in (PROJECT / room).rglob("*.py")]
    found = {(path.name, *named) for path in files for named in named_of_exports(path)}
    assert {module for _, module, _ in found} == set(PUBLIC)
    beyond = [each for each in found if each[2] not in (PUBLIC[each[1]] or {each[2]})]
    assert beyond == []


def test_what_they_are_given_is_the_contract():
    """By its type: mypy then refuses what it does not have."""
    for name in ("streaming/exports.py", "streaming/answers.py", "sockets/live.py"):
        assert "exports: ExportService" in (PROJECT / name).read_text()
