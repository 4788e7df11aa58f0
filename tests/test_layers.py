"""The house of docs/architecture.md: every import in the tree, and which way its arrow points."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).parent.parent

# What each floor may import of the project besides itself. A top-level module is a floor too; so is
# a room in a package, or a module of one that may import more than its neighbours.
_SOURCES = (
    "sources",
    "sources/kinds",
    "sources/catalogue",
    "sources/folders",
    "sources/logs",
)
_BELOW_STREAMING = (
    "state",
    "auth",
    "auth/answers",
    "wire",
    "encoders",
    *_SOURCES,
    "journal",
    "topics",
    "exports",
    "exports/spec_reader",
)
FLOORS: dict[str, tuple[str, ...]] = {
    "settings": ("wire",),
    "state": (),
    "auth": ("state", "wire"),
    # The table of errors, for the floors that answer.
    "auth/answers": ("auth", "wire", "state", "sources", "journal", "topics", "exports"),
    "wire": (),
    "encoders": ("wire",),
    "journal": ("state", "wire"),
    # A kind of database is imported by the two tables of kinds only.
    "sources": ("sources/kinds", "wire"),
    "sources/kinds": ("sources", "sources/sqlite"),
    "sources/rows": ("sources", "sources/sqlite", "encoders"),
    "sources/sqlite": ("sources", "encoders", "state", "wire"),
    "sources/catalogue": ("sources", "sources/kinds", "wire"),
    "sources/folders": ("sources", "encoders", "state", "wire"),
    "sources/logs": (
        "sources",
        "sources/catalogue",
        "sources/folders",
        "journal",
        "state",
        "topics",
        "wire",
    ),
    "topics": ("wire", "journal"),
    "exports": (
        "wire",
        "encoders",
        "sources",
        "sources/rows",
        "sources/folders",
        "journal",
        "state",
        "topics",
    ),
    "exports/spec_reader": (
        "exports",
        "wire",
        "sources",
        "sources/kinds",
        "sources/folders",
        "journal",
    ),
    "streaming": _BELOW_STREAMING,
    "sockets": ("sockets/engineio", *_BELOW_STREAMING),
    # The protocol stack by itself: what it needs is given to it.
    "sockets/engineio": (),
    "server": ("wire",),
    "app": ("settings", *_BELOW_STREAMING, "streaming", "sockets", "sockets/engineio"),
    "gunicorn.conf": ("settings", "auth", "server", "state"),
    "deploy/doctor": (),
    "headwater": (),
    "commands": ("settings", *_BELOW_STREAMING, "deploy/doctor"),
    "wsgi": ("settings", *_BELOW_STREAMING, "streaming", "sockets", "app", "commands", "server"),
}

# These import nothing but the standard library and what FLOORS allows.
WITHOUT_LIBRARIES = (
    "settings",
    "wire",
    "state",
    "journal",
    "topics",
    "sockets/engineio",
    "deploy/doctor",
    "headwater",
)

# Who may name a library: floors, or single files.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "itsdangerous": ("auth/links.py", "streaming/login.py"),
    **dict.fromkeys(("flask", "werkzeug"), ("streaming", "sockets", "app", "commands", "wsgi")),
    **dict.fromkeys(("flask_socketio", "engineio"), ("sockets",)),
    # Theirs are the names of Flask-SocketIO that we use.
    "socketio": (),
    "wsproto": ("sockets/engineio",),
    **dict.fromkeys(("eventlet", "greenlet"), ("server", "wsgi")),
    "gunicorn": ("server", "gunicorn.conf"),
    "re2": ("streaming/log_search.py",),
    "inotify_simple": ("server/monkey_patching.py", "sources/logs/folder_watch.py"),
    "apsw": ("sources/sqlite",),
    "sqlite3": ("sources/sqlite", "state"),
    **dict.fromkeys(
        ("pyarrow", "polars"),
        (
            "encoders",
            "sources/rows.py",
            "sources/sqlite/rows.py",
            "sources/sqlite/spill.py",
            "sources/sqlite/typed_values.py",
            "exports/recording.py",
        ),
    ),
}

# Folders that hold no part of the server.
NO_FLOORS = ("tests", "benchmarks", "setup", "docs", "instance", "static", "templates")


class Import(NamedTuple):
    """An import statement. path: of the file, from the root. name: dotted, resolved."""

    path: Path
    line: int
    name: str

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


def imports_of(root: Path, path: Path) -> Iterator[Import]:
    """Yield every import of one file, those inside functions and by name at run time included."""
    inside = path.relative_to(root)
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = inside.parent.parts[: len(inside.parent.parts) - node.level + 1]
            start = [*(parents if node.level else ()), *filter(None, [node.module])]
            module = ".".join(start)
            full = [".".join([*start, alias.name]) for alias in node.names]
            rooms = [name for name in full if name.replace(".", "/") in FLOORS]
            names = (rooms or [module]) if module else full
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            argument = node.args[0]
            if called in ("__import__", "import_module", "importlib.import_module"):
                is_text = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                names = [str(argument.value) if is_text else "(a name that is computed)"]
        for name in names:
            yield Import(inside, node.lineno, name)


def floor_of(path: Path) -> str:
    """Return the floor that a file or a module's path is on: the innermost one in FLOORS."""
    path = path.with_suffix("")
    rooms = (room.as_posix() for room in (path, *path.parents))
    return next((room for room in rooms if room in FLOORS), path.parts[0])


def files_of(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*.py")):
        top = path.relative_to(root).parts[0]
        if not top.startswith(".") and top not in NO_FLOORS:
            yield path


def why_broken(found: Import, project: set[str]) -> str | None:
    """Return why this arrow may not be, None when it may. project: the top-level names of ours."""
    floor, top = floor_of(found.path), found.top
    if floor not in FLOORS:
        return "it has no floor in FLOORS of tests/test_layers.py"
    if top in project:
        target = floor_of(Path(found.name.replace(".", "/")))
        is_allowed = target in (floor, *FLOORS[floor])
        return None if is_allowed else f"{floor} may not import {target}"
    if top in LIBRARIES:
        allowed = LIBRARIES[top]
        is_allowed = floor in allowed or found.path.as_posix() in allowed
        return None if is_allowed else f"only {', '.join(allowed)} may import {top}"
    if floor in WITHOUT_LIBRARIES and top not in sys.stdlib_module_names:
        return f"{floor} imports only the standard library"
    return None


def broken_arrows(root: Path) -> list[str]:
    """Return one line for each arrow in the tree that may not be: `file:line imports name: why`."""
    files = list(files_of(root))
    project = {path.relative_to(root).with_suffix("").parts[0] for path in files} | set(FLOORS)
    return [
        f"{found.path.as_posix()}:{found.line} imports {found.name}: {why}"
        for path in files
        for found in imports_of(root, path)
        if (why := why_broken(found, project)) is not None
    ]


def test_arrows_point_down_only():
    assert broken_arrows(PROJECT) == []


def test_the_tree_was_read():
    read = {floor_of(path.relative_to(PROJECT)) for path in files_of(PROJECT)}
    assert read == set(FLOORS)


BAD_ARROWS = {
    "wire is the lowest": ("wire/a.py", "import sources.sqlite.tables"),
    "wire has no libraries": ("wire/a.py", "import sqlalchemy"),
    "encoders know no source": ("encoders/a.py", "from sources import rows"),
    "encoders know no journal": ("encoders/a.py", "from journal.contract import Journal"),
    "only SQLite's room has its engine": ("sources/a.py", "import apsw"),
    "state.db is opened by one SQLite": ("state/a.py", "import apsw"),
    "state is the lowest": ("state/a.py", "from auth import Tokens"),
    "state is opened in one room": ("auth/a.py", "import sqlite3"),
    "nor is it asked elsewhere": ("exports/a.py", "import sqlite3"),
    "auth knows no table of errors": ("auth/a.py", "from auth.answers import ANSWERS"),
    "streaming knows no kind of database": ("streaming/a.py", "from sources.sqlite import sql"),
    "exports know no kind of database": ("exports/a.py", "import sources.sqlite.rows"),
    "the catalogue knows no kind": ("sources/catalogue/a.py", "import sources.sqlite.tables"),
    "what kinds share knows none": ("sources/a.py", "from sources.sqlite.tables import describe"),
    "a kind knows no catalogue": ("sources/sqlite/a.py", "import sources.catalogue.names"),
    "a kind knows no folders": ("sources/sqlite/a.py", "from sources.folders.folder import Folder"),
    "a room's name": ("sources/folders/a.py", "from sources import sqlite"),
    "rows are for recorders": ("streaming/a.py", "from sources.rows import open_rows"),
    "sources and journal are beside each other": ("sources/a.py", "from journal import ByteReader"),
    "journal and sources are beside each other": ("journal/a.py", "from sources import query"),
    "journal has no libraries": ("journal/a.py", "import redis"),
    "journal knows no topics": ("journal/a.py", "from topics import Topics"),
    "wire knows no topics": ("wire/a.py", "from topics.names import check_name"),
    "topics and sources are beside each other": ("topics/a.py", "from sources import catalogue"),
    "sources and topics are beside each other": ("sources/a.py", "from topics import Rule"),
    "topics know no exports": ("topics/a.py", "from exports.announcer import Announcer"),
    "topics know no HTTP of ours": ("topics/a.py", "from streaming.errors import Refusal"),
    "topics know no sockets of ours": (
        "topics/a.py",
        "from sockets.engineio.frames import text_frame",
    ),
    "topics know no Flask": ("topics/a.py", "from flask import request"),
    "topics know no Socket.IO": ("topics/a.py", "import socketio"),
    "topics know no Engine.IO": ("topics/a.py", "def f():\n    import engineio"),
    "topics know no eventlet": ("topics/a.py", "from eventlet.green import threading"),
    "topics know no greenlet": ("topics/a.py", "import greenlet"),
    "topics are not the entry's": ("topics/a.py", "import server"),
    "topics have no libraries": ("topics/a.py", "import orjson"),
    "exports know no HTTP of ours": ("exports/a.py", "from streaming.errors import Refusal"),
    "exports know no kind by a table": ("exports/a.py", "from sources.kinds import as_stored"),
    "exports know no sockets": ("exports/a.py", "from sockets.live import Live"),
    "streaming and sockets are beside each other": ("streaming/a.py", "import sockets.events"),
    "sockets and streaming are beside each other": ("sockets/a.py", "import streaming.errors"),
    "nobody imports the app": ("streaming/a.py", "from app import create_app"),
    "nobody imports the entry": ("app.py", "import wsgi"),
    "settings are for the entries": ("streaming/a.py", "from settings import Settings"),
    "settings of a lower floor": ("exports/a.py", "import settings"),
    "settings know the lowest floor": ("settings.py", "import sources.errors"),
    "no Flask below streaming": ("exports/a.py", "from flask import current_app"),
    "no Werkzeug below streaming": ("wire/a.py", "from werkzeug.http import parse_date"),
    "no Socket.IO below": ("journal/a.py", "import socketio"),
    "no Flask-SocketIO below": ("sources/a.py", "from flask_socketio import emit"),
    "the protocol stack knows no topics": ("sockets/engineio/a.py", "import topics"),
    "nor who may": ("sockets/engineio/a.py", "from auth import Authenticator"),
    "nor what is above it": ("sockets/engineio/a.py", "from sockets.live import Live"),
    "nor our texts": ("sockets/engineio/a.py", "import wire.events"),
    "nor Flask": ("sockets/engineio/a.py", "from flask import request"),
    "nor Flask-SocketIO": ("sockets/engineio/a.py", "import flask_socketio"),
    "nor what that is made of": ("sockets/engineio/a.py", "import socketio"),
    "Engine.IO of others": ("sockets/engineio/a.py", "import engineio"),
    "frames are read in one room": ("sockets/a.py", "import wsproto"),
    "eventlet is not for sockets": ("sockets/a.py", "from eventlet import websocket"),
    "eventlet has its files": ("streaming/a.py", "from eventlet import sleep"),
    "greenlet too": ("app.py", "import greenlet"),
    "the worker is the entry's": (
        "exports/a.py",
        "from server.monkey_patching import patch_everything",
    ),
    "pyarrow in a source that is not rows.py": ("sources/sqlite/tables.py", "import pyarrow as pa"),
    "polars in a worker that is not recording.py": ("exports/exports.py", "import polars"),
    "a submodule of pyarrow": ("streaming/a.py", "import pyarrow.csv"),
    "inside a function": ("sources/a.py", "def f():\n    import journal"),
    "inside a class, in a branch": ("wire/a.py", "class A:\n    if 1:\n        import flask"),
    "for the type checker only": ("wire/a.py", "if TYPE_CHECKING:\n    from journal import End"),
    "relative, out of the package": ("sources/a.py", "from ..journal import ByteReader"),
    "relative, of the root": ("sources/a.py", "from .. import journal"),
    "relative, from a package below": ("sources/deep/a.py", "from ...exports.job import Job"),
    "the second of several": ("sources/a.py", "import os, journal"),
    "by name at run time": ("sources/a.py", "importlib.import_module('journal.disk')"),
    "by a name that is computed": ("journal/a.py", "__import__(name)"),
    "in a package's table of contents": ("sources/__init__.py", "import journal"),
    "a package without a floor": ("helpers/a.py", "import os"),
}


def test_kinds_of_source_are_told_apart_in_sources_only():
    kinds = {"TableSource", "QuerySource", "GeneratedSource", "Stored"}
    found = [
        path.relative_to(PROJECT).as_posix()
        for path in files_of(PROJECT)
        if floor_of(path.relative_to(PROJECT)).split("/")[0] != "sources"
        for call in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in ("isinstance", "type")
        and kinds & {*re.findall(r"\w+", ast.unparse(call))}
    ]
    assert found == []


ROOMS = (
    *_SOURCES, "auth", "encoders", "exports", "journal", "server", "sockets", "sockets/engineio",
    "sources/sqlite", "state", "streaming", "topics", "wire", "deploy/doctor",
)  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_true_table_of_contents(room):
    folder = PROJECT / room
    if not folder.is_dir():
        return
    told = ast.get_docstring(ast.parse((folder / "__init__.py").read_bytes())) or ""
    # "one, two: what they are." is an entry.
    entries = re.findall(r"(?:^|[.?] |\n|\.\n)((?:\w+, )*\w+): ", " ".join(told.splitlines()))
    named = {name for entry in entries for name in entry.split(", ")}
    there = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert there - {*re.findall(r"\w+", told)} == set()
    assert named - there == set()


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(("path", "text"), BAD_ARROWS.values(), ids=BAD_ARROWS.keys())
def test_a_bad_arrow_is_reported_with_its_file_and_line(tmp_path, path, text):
    (reported,) = broken_arrows(lay(tmp_path, {path: f'"""A module."""\n\n{text}\n'}))
    line = 3 + text.count("\n")
    assert reported.startswith(f"{path}:{line} imports ")


GOOD_ARROWS = {
    "wire/a.py": "import re\nfrom wire.errors import WireError\nfrom . import errors\n",
    "encoders/a.py": "import polars, pyarrow.csv, zstandard\nimport wire.formats\n",
    "journal/a.py": "import fcntl\nfrom journal.contract import End\n",
    "sources/sqlite/a.py": "import sqlalchemy\nimport encoders\nfrom .tables import x\n",
    "sources/sqlite/rows.py": "import pyarrow as pa\n",
    "topics/a.py": "import fcntl, threading\nimport journal\nfrom wire.cursors import Cursor\n",
    "topics/topics.py": "from topics.errors import TopicError\nfrom .names import Patterns\n",
    "exports/announcer.py": "from topics import Topics\n",
    "exports/recording.py": "import pyarrow\nfrom journal import ByteReader\nimport sources.rows\n",
    "streaming/a.py": "import flask, werkzeug.http\nimport exports.exports, journal, wire.ranges\n",
    "streaming/events.py": "from topics.presence import show_topics\n",
    "sockets/a.py": "import flask_socketio\nimport exports.exports, sockets.engineio, topics\n",
    "sockets/engineio/a.py": "import wsproto\nfrom sockets.engineio.frames import text_frame\n",
    "app.py": "import flask, streaming, sockets, topics, exports\nfrom settings import Settings\n",
    "wsgi.py": "import eventlet, app, settings\nfrom server.worker import make_worker_class\n",
    "server/worker.py": "import greenlet, gunicorn\nimport server.native_pool\n",
    "gunicorn.conf.py": "from settings import Settings\n",
    "tests/test_a.py": "import app, eventlet, wire\n",
    ".venv/lib/a.py": "import eventlet\n",
}


def test_good_arrows_are_not_reported(tmp_path):
    assert broken_arrows(lay(tmp_path, GOOD_ARROWS)) == []


@pytest.mark.parametrize("library", ["pyarrow", "polars", "eventlet", "greenlet"])
def test_the_servers_side_does_not_load(library):
    """Directly or through another module: what importing the app has loaded is looked through."""
    program = f"import app, sys; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, timeout=60).returncode == 0


def test_recorders_do_not_load_what_plans_queries():
    """It is a third of what they would load, and each is forked from the process that has it."""
    program = "import sys, exports.recording; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, timeout=60).returncode == 0


def test_no_two_classes_share_a_name():
    places: dict[str, list[str]] = {}
    for path in files_of(PROJECT):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path.relative_to(PROJECT).as_posix())
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


MOST_METHODS, MOST_LINES = 25, 300


def test_a_class_has_one_noun():
    """Long classes have turned out to be several: they are cut, and not made longer."""
    found = [
        (path.relative_to(PROJECT).as_posix(), node.name, len(methods), lines)
        for path in files_of(PROJECT)
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef)
        for methods in [[each for each in node.body if isinstance(each, ast.FunctionDef)]]
        for lines in [(node.end_lineno or 0) - node.lineno + 1]
        if len(methods) > MOST_METHODS or lines > MOST_LINES
    ]
    assert found == []
