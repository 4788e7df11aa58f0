"""What is in a folder at one moment: in order, and nothing is left out in silence."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.errors import FolderGone, TooManyFiles
from sources.folders import snapshots
from sources.folders.folder import Folder
from sources.folders.snapshots import Snapshot, SnapshotFile, take_snapshot


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "served"
    root.joinpath("sub", "deeper").mkdir(parents=True)
    root.joinpath("sub", "inner.txt").write_bytes(b"inner")
    root.joinpath("sub.txt").write_bytes(b"beside sub")
    root.joinpath("a").write_bytes(b"")
    return root


@pytest.fixture
def take(root):
    """take(hidden=...): a snapshot of root."""
    return lambda **how: take_snapshot(Folder("served", root, **how))


def paths_of(snapshot: Snapshot) -> list[str]:
    return [file.path for file in snapshot.files]


def test_every_file_and_folder_is_there_in_order(take):
    snapshot = take()
    assert paths_of(snapshot) == ["a", "sub.txt", "sub/", "sub/deeper/", "sub/inner.txt"]
    assert [file.size for file in snapshot.files] == [0, 10, 0, 0, 5]
    assert [file.version is None for file in snapshot.files] == [False, False, True, True, False]
    assert snapshot.left_out == []


def test_a_file_is_told_with_its_version_and_time(take, root):
    os.utime(root / "a", (1, 1_700_000_000.25))
    file = take().files[0]
    with_version = Folder("served", root).open("a")
    assert file == SnapshotFile("a", 0, 1_700_000_000.25, with_version.version)
    with_version.close()


def test_an_empty_folder_is_a_snapshot_of_nothing(tmp_path):
    snapshot = take_snapshot(Folder("empty", tmp_path))
    assert snapshot == Snapshot([], [], is_settled=True)
    assert len(bytes.fromhex(snapshot.digest())) == 16


def test_links_to_files_are_files_and_others_are_left_out(take, root):
    root.joinpath("link").symlink_to("sub/inner.txt")
    root.joinpath("sub", "up").symlink_to("..")
    root.joinpath("sub", "out").symlink_to("../../secret.txt")
    root.joinpath("sub", "nowhere").symlink_to("nothing")
    root.joinpath("circle").symlink_to("circle")
    snapshot = take()
    assert "link" in paths_of(snapshot)
    assert snapshot.left_out == [
        ("circle", "not a file that is served"),
        ("sub/nowhere", "not a file that is served"),
        ("sub/out", "not a file that is served"),
        ("sub/up", "a link to a folder"),
    ]


def test_what_is_no_file_is_left_out_and_said_so(take, root):
    os.mkfifo(root / "pipe")
    root.joinpath("sub", "caf\udce9").write_bytes(b"x")
    snapshot = take()
    assert snapshot.left_out == [
        ("pipe", "not a file that is served"),
        ("sub/caf\udce9", "not a file that is served"),
    ]
    assert len(snapshot.files) == 5
    assert snapshot.digest()


def test_what_is_hidden_is_not_even_named(take, root):
    root.joinpath(".hidden").write_bytes(b"x")
    root.joinpath("sub", ".git").mkdir()
    root.joinpath("sub", ".git", "config").write_bytes(b"x")
    assert paths_of(take()) == ["a", "sub.txt", "sub/", "sub/deeper/", "sub/inner.txt"]
    assert take().left_out == []
    assert {".hidden", "sub/.git/", "sub/.git/config"} < set(paths_of(take(hidden=True)))


def test_a_folder_that_is_not_there_is_not_there(tmp_path):
    with pytest.raises(FolderGone):
        take_snapshot(Folder("served", tmp_path / "nothing"))


def test_a_folder_that_is_a_file_is_none(tmp_path):
    tmp_path.joinpath("file").touch()
    with pytest.raises(FolderGone):
        take_snapshot(Folder("served", tmp_path / "file"))


def test_too_many_files_are_refused_while_they_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "MAX_FILES", 10)
    for i in range(10):
        tmp_path.joinpath(str(i)).touch()
    assert len(take_snapshot(Folder("served", tmp_path)).files) == 10
    tmp_path.joinpath("10").mkdir()
    with pytest.raises(TooManyFiles, match="more than 10 files"):
        take_snapshot(Folder("served", tmp_path))


def test_too_many_that_are_left_out_are_refused_too(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "MAX_FILES", 10)
    for i in range(100):
        tmp_path.joinpath(str(i)).symlink_to("/nothing")
    with pytest.raises(TooManyFiles):
        take_snapshot(Folder("served", tmp_path))


# Digests.


def settle(root: Path) -> None:
    """Wait until the next change of anything in root can be told from its last one."""
    newest_s = max(path.lstat().st_ctime for path in [root, *root.rglob("*")])
    while time.time() < newest_s + 0.06:
        pass


def rewrite(path: Path, content: bytes) -> None:
    """With the same size, and the same time afterwards."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


CHANGES = {
    "a file more": lambda root: root.joinpath("sub", "b").touch(),
    "a folder more": lambda root: root.joinpath("sub", "b").mkdir(),
    "a file less": lambda root: root.joinpath("a").unlink(),
    "a folder less": lambda root: root.joinpath("sub", "deeper").rmdir(),
    "a file called otherwise": lambda root: root.joinpath("a").rename(root / "b"),
    "a folder called otherwise": lambda root: root.joinpath("sub").rename(root / "b"),
    "another content": lambda root: rewrite(root / "sub" / "inner.txt", b"other"),
    "another time": lambda root: os.utime(root / "a", (1, 1)),
    "replaced by a copy": lambda root: replace(root / "a"),
    "a file that is a folder now": lambda root: (root / "a").unlink() or (root / "a").mkdir(),
    "a pipe more": lambda root: os.mkfifo(root / "pipe"),
    "a link more": lambda root: root.joinpath("b").symlink_to("a"),
    "a link to nothing more": lambda root: root.joinpath("b").symlink_to("nothing"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_digest_is_another_one_after_every_change(take, root, change):
    settle(root)
    before = take()
    assert before.is_settled
    assert before.digest() == take().digest()
    change(root)
    assert take().digest() != before.digest()


def test_a_digest_is_another_one_after_a_folders_time_changed(take, root):
    before = take()
    os.utime(root / "sub", (1, 1))
    after = take()
    assert before.files != after.files
    assert before.digest() != after.digest()


def test_what_was_changed_just_now_is_not_settled(take, root):
    settle(root)
    assert take().is_settled
    for _ in range(100):
        root.joinpath("sub", "inner.txt").write_bytes(b"again")
        if not take().is_settled:
            return
    pytest.fail("it was settled at once")


def test_no_digest_is_of_two_trees(tmp_path):
    """Names cannot run into each other."""
    digests = set()
    for number, names in enumerate((["ab", "c"], ["a", "bc"], ["abc"], ["a", "b", "c"])):
        root = tmp_path / str(number)
        root.mkdir()
        for name in names:
            # As folders: they have no version of their own.
            root.joinpath(name).mkdir()
        digests.add(take_snapshot(Folder("served", root)).digest())
    assert len(digests) == 4


def test_no_digest_is_of_two_trees_by_chance_of_a_time(tmp_path):
    digests = set()
    for number, (name, time_s) in enumerate({"2": 1.5, "": 1.52}.items()):
        root = tmp_path / str(number)
        root.joinpath("1").mkdir(parents=True)
        root.joinpath(f"{name}a").mkdir()
        os.utime(root / "1", (time_s, time_s))
        os.utime(root / f"{name}a", (7, 7))
        digests.add(take_snapshot(Folder("served", root)).digest())
    assert len(digests) == 2


@pytest.mark.parametrize("modified_s", [-1.5, 0, 8e9, 1e10])
def test_a_file_of_any_time_is_taken(take, root, modified_s):
    """From the year 2262 on, nanoseconds are more than 63 bits."""
    os.utime(root / "a", (modified_s, modified_s))
    if root.joinpath("a").stat().st_mtime != modified_s:
        pytest.skip("this file system has no such time")
    assert take().files[0].modified_s == modified_s
    assert take().digest()


NAMES = st.sampled_from(["a", "b", ".c", "d.txt", "Ü", "two\nlines"])
TREES = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES, hidden=st.booleans())
def test_it_has_what_a_walk_of_the_disk_finds(tmp_path, tree, hidden):
    root = tmp_path / "tree"
    root.mkdir()
    for path in tree:
        root.joinpath(path).mkdir(parents=True, exist_ok=True)
        root.joinpath(path, "f").write_bytes(path.encode())
    want = []
    for path in root.rglob("*"):
        inside = path.relative_to(root)
        if hidden or not any(part.startswith(".") for part in inside.parts):
            want.append(f"{inside}/" if path.is_dir() else str(inside))
    snapshot = take_snapshot(Folder("served", root, hidden=hidden))
    assert paths_of(snapshot) == sorted(want)
    shutil.rmtree(root)
