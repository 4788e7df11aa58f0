"""[logs.*]: names, paths, what is kept, and whether their folders are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sources.catalogue.catalogue import parse_catalogue, sample_catalogue
from sources.catalogue.check import check_catalogue
from sources.catalogue.logs import LogEntry
from sources.errors import CatalogueError

FOLDER = Path("/srv/headwater")
USUAL = (1_000_000, 10**9, 256 * 1024**2)

READ = {
    "relative to the file's folder": ('path = "a.log"', LogEntry("a", FOLDER / "a.log", *USUAL)),
    "absolute": ('path = "/var/log/a.log"', LogEntry("a", Path("/var/log/a.log"), *USUAL)),
    "what is kept": (
        'path = "a"\nretain_lines = 1\nretain_s = 60\nretain_bytes = 1048576',
        LogEntry("a", FOLDER / "a", 1, 60, 1048576),
    ),
    "links that lead out": (
        'path = "a"\nlinks = true',
        LogEntry("a", FOLDER / "a", *USUAL, links=True),
    ),
}

# Each: the text, and the one problem it has.
REFUSED = {
    "logs is no table": ("logs = 1", "logs: 1 is not a table; [logs.<name>] would be right"),
    "a log is no table": ('logs.a = "x"', 'logs.a: "x" is not a table; [logs.<name>] would be'),
    "no path": ("[logs.a]", "logs.a.path: is missing"),
    "NUL": ('[logs.a]\npath = "m\\u0000"', 'logs.a.path: "m\\u0000" cannot be used'),
    "capitals": ('[logs.A]\npath = "x"', 'logs.A: "A" is not a name; 1 to 64 of a-z'),
    "a slash": ('[logs."a/b"]\npath = "x"', 'logs."a/b": "a/b" is not a name; 1 to 64 of a-z'),
    "readers": ('[logs.readers]\npath = "x"', "logs.readers: readers is the server's own"),
    "an unknown key": ('[logs.a]\npath = "x"\nretain_line = 1', "logs.a.retain_line: unknown key"),
    "nothing kept": (
        '[logs.a]\npath = "x"\nretain_lines = 0',
        "logs.a.retain_lines: 0 cannot be used; a whole number from 1 to 1000000000",
    ),
    "true": ('[logs.a]\npath = "x"\nretain_s = true', "logs.a.retain_s: true cannot be used"),
    "too short": ('[logs.a]\npath = "x"\nretain_s = 59', "logs.a.retain_s: 59 cannot be used; a"),
    "no room for a line": (
        '[logs.a]\npath = "x"\nretain_bytes = 1048575',
        "logs.a.retain_bytes: 1048575 cannot be used; a whole number from 1048576",
    ),
}


@pytest.mark.parametrize(("text", "want"), READ.values(), ids=READ.keys())
def test_a_log_is_read(text, want):
    assert parse_catalogue(f"[logs.a]\n{text}", FOLDER).logs == {"a": want}


@pytest.mark.parametrize(("text", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_named(text, want):
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(text, FOLDER)
    (problem,) = caught.value.problems
    assert problem.startswith(want)


def problems_of(path):
    return check_catalogue(parse_catalogue(f'[logs.a]\npath = "{path}"', FOLDER))


def test_a_log_may_come_later(tmp_path):
    assert problems_of(tmp_path / "a.log") == []


def test_its_folder_has_to_be_there(tmp_path):
    (problem,) = problems_of(tmp_path / "no" / "a.log")
    assert problem.startswith(f"logs.a.path: the folder {tmp_path}/no is not there; the path of")


def test_a_folder_is_no_log(tmp_path):
    (problem,) = problems_of(tmp_path)
    assert problem == f"logs.a.path: {tmp_path} is a folder; the path of a file would be right"


def test_the_sample_follows_the_servers_own_log():
    path = FOLDER / "logs" / "access.log"
    assert sample_catalogue(FOLDER).logs == {"access": LogEntry("access", path, *USUAL)}
