"""[folders.*]: names, paths, and whether they are there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from sources.catalogue.catalogue import parse_catalogue, sample_catalogue
from sources.catalogue.check import check_catalogue
from sources.catalogue.folders import FolderEntry, check_folders
from sources.errors import CatalogueError

FOLDER = Path("/srv/headwater")

READ = {
    "relative to the file's folder": ('path = "media"', FolderEntry("a", FOLDER / "media", False)),
    "below": ('path = "x/media"', FolderEntry("a", FOLDER / "x/media", False)),
    "up": ('path = "../media"', FolderEntry("a", FOLDER / "../media", False)),
    "absolute": ('path = "/media"', FolderEntry("a", Path("/media"), False)),
    "as it is, with blanks and signs": (
        'path = "a b%20#é"',
        FolderEntry("a", FOLDER / "a b%20#é", False),
    ),
    "hidden": ('path = "m"\nhidden = true', FolderEntry("a", FOLDER / "m", True)),
    "not hidden": ('path = "m"\nhidden = false', FolderEntry("a", FOLDER / "m", False)),
}

# Each: the text, and the one problem it has.
REFUSED = {
    "folders is no table": ("folders = 1", "folders: 1 is not a table; [folders.<name>] would be"),
    "a folder is no table": ("folders.a = true", "folders.a: true is not a table; [folders.<name>"),
    "a folder is a path": ('folders.a = "m"', 'folders.a: "m" is not a table; [folders.<name>] wo'),
    "no path": ("[folders.a]", "folders.a.path: is missing"),
    "an empty path": ('[folders.a]\npath = ""', 'folders.a.path: "" cannot be used'),
    "a blank path": ('[folders.a]\npath = " "', 'folders.a.path: " " cannot be used'),
    "NUL": ('[folders.a]\npath = "m\\u0000"', 'folders.a.path: "m\\u0000" cannot be used'),
    "a path that is a number": ("[folders.a]\npath = 1", "folders.a.path: 1 is not a text; quotes"),
    "a path that is a list": ('[folders.a]\npath = ["m"]', "folders.a.path: ['m'] is not a text"),
    "hidden is a text": (
        '[folders.a]\npath = "m"\nhidden = "yes"',
        'folders.a.hidden: "yes" cannot be used; true or false would be right',
    ),
    "hidden is a number": (
        '[folders.a]\npath = "m"\nhidden = 1',
        "folders.a.hidden: 1 cannot be used; true or false would be right",
    ),
    "an unknown key": (
        '[folders.a]\npath = "m"\nhiden = true',
        "folders.a.hiden: unknown key; did you mean hidden?",
    ),
    "an unknown key like no other": (
        '[folders.a]\npath = "m"\nzzz = true',
        "folders.a.zzz: unknown key; there are path, hidden",
    ),
}


def problems_of(text: str) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(text, FOLDER)
    return caught.value.problems


@pytest.mark.parametrize(("text", "want"), READ.values(), ids=READ.keys())
def test_a_folder_is_read(text, want):
    assert parse_catalogue(f"[folders.a]\n{text}", FOLDER).folders == {"a": want}


@pytest.mark.parametrize(("text", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_a_problem_is_named_with_its_key(text, want):
    [problem] = problems_of(text)
    assert problem.startswith(want)


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "x" * 64])
def test_a_folder_may_have_this_name(name):
    catalogue = parse_catalogue(f'[folders.{name}]\npath = "m"', FOLDER)
    assert catalogue.folders[name].name == name


@pytest.mark.parametrize(
    "name", ["A", "_a", "-a", "x" * 65, "", "..", "a.b", "a/b", "a%00", "a\\u0000", "a\\n", "é"]
)
def test_no_folder_may_have_this_name(name):
    [problem] = problems_of(f'[folders."{name}"]\npath = "m"')
    assert problem.endswith(
        "is not a name; 1 to 64 of a-z, 0-9, _ and -, not _ or - first, would be right"
    )


@pytest.mark.parametrize("name", ["con", "nul", "com1", "lpt9"])
def test_names_of_windows_devices_are_reserved(name):
    [problem] = problems_of(f'[folders.{name}]\npath = "m"')
    assert "Windows" in problem


def test_every_problem_is_named_at_once():
    problems = problems_of("[folders.A]\nhidden = 1\n[folders.b]\npath = 1\nx = 2\n[sources.A]\n")
    assert [problem.split(": ")[0] for problem in problems] == [
        "sources.A",
        "sources.A",
        "folders.A",
        "folders.A.hidden",
        "folders.A.path",
        "folders.b.x",
        "folders.b.path",
    ]


def test_a_catalogue_may_have_folders_only_and_a_source_of_the_same_name():
    catalogue = parse_catalogue('[folders.b]\npath = "b"\n[folders.a]\npath = "a"', FOLDER)
    assert (list(catalogue.sources), list(catalogue.folders)) == ([], ["b", "a"])
    both = parse_catalogue(
        '[folders.a]\npath = "a"\n[sources.a]\ngenerate = "users"\nrows = 1', FOLDER
    )
    assert list(both.sources) == list(both.folders) == ["a"]


def test_the_sample_has_media_beside_its_database(tmp_path):
    assert sample_catalogue(tmp_path).folders == {
        "media": FolderEntry("media", tmp_path / "media", False)
    }


# On the disk.


def check(path: Path) -> list[str]:
    return check_folders({"a": FolderEntry("a", path, False)})


def test_a_folder_that_is_there_is_right(tmp_path):
    tmp_path.joinpath("link").symlink_to(tmp_path)
    assert check(tmp_path) == check(tmp_path / "link") == []


def test_what_is_no_folder_is_named(tmp_path):
    tmp_path.joinpath("file").touch()
    tmp_path.joinpath("link").symlink_to("nothing")
    right = "the path of a folder would be right"
    assert check(tmp_path / "file") == [f"folders.a.path: {tmp_path / 'file'} is a file; {right}"]
    for name in ("nothing", "link", "file/x"):
        path = tmp_path / name
        assert check(path) == [f"folders.a.path: {path} is not there; {right}"]


def test_a_folder_that_may_not_be_read_is_named():
    with tempfile.TemporaryDirectory(prefix="headwater-") as name:
        path = Path(name) / "closed"
        path.mkdir()
        Path(name).chmod(0o755)
        path.chmod(0)
        # access(2) asks for the real user.
        ids, is_root = os.getresuid(), os.geteuid() == 0
        if is_root:
            os.setresuid(65534, 65534, 0)
        try:
            assert check(path) == [f"folders.a.path: {path} cannot be read by the server"]
        finally:
            if is_root:
                os.setresuid(*ids)


def test_the_check_of_a_catalogue_looks_at_its_folders(tmp_path):
    tmp_path.joinpath("b").mkdir()
    catalogue = parse_catalogue('[folders.b]\npath = "b"\n[folders.c]\npath = "c"', tmp_path)
    [problem] = check_catalogue(catalogue)
    assert problem.startswith(f"folders.c.path: {tmp_path / 'c'} is not there")
