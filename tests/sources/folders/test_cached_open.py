"""A file is opened without waiting only if it is a plain one that the kernel knows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sources.errors import MalformedPath
from sources.folders.folder import Folder


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "served"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "inner.txt").write_bytes(b"inner")
    (root / ".hidden").write_bytes(b"hidden")
    (root / "private").touch(mode=0o600)
    (root / "link").symlink_to("sub/inner.txt")
    (root / "out").symlink_to(tmp_path)
    (tmp_path / "secret.txt").write_bytes(b"secret")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def folder(root):
    """One whose disk was found to be of this machine, and whose names the kernel has in memory."""
    folder = Folder("served", root)
    folder.open("sub/inner.txt").close()
    file = folder.open_cached("sub/inner.txt")
    if file is None:
        pytest.skip("the kernel or the file system of this folder cannot tell")
    file.close()
    return folder


def test_it_is_the_same_file(folder):
    cached, opened = folder.open_cached("sub/inner.txt"), folder.open("sub/inner.txt")
    assert cached.version == opened.version
    assert cached.read(100, 0) == b"inner"
    cached.close()
    opened.close()


def test_nothing_is_opened_before_the_disk_is_known(root):
    assert Folder("served", root).open_cached("sub/inner.txt") is None


LEFT = ["private", "link", "out/secret.txt", ".hidden", "pipe", "sub", "none", "sub/inner.txt/x"]


@pytest.mark.parametrize("path", LEFT)
def test_what_is_no_plain_file_is_left_to_the_walk(folder, path):
    assert folder.open_cached(path) is None


@pytest.mark.parametrize("path", ["../secret.txt", "sub/../../secret.txt", "", "a//b", "a\0b"])
def test_a_path_that_is_none_is_refused(folder, path):
    with pytest.raises(MalformedPath):
        folder.open_cached(path)


def test_hidden_names_are_opened_where_they_are_served(folder, root):
    shown = Folder("served", root, hidden=True)
    shown.open(".hidden").close()
    file = shown.open_cached(".hidden")
    assert file.read(100, 0) == b"hidden"
    file.close()


def test_another_folder_in_its_place_is_looked_at_first(folder, root):
    root.rename(root.with_name("before"))
    root.mkdir()
    (root / "new.txt").write_bytes(b"new")
    assert folder.open_cached("new.txt") is None
    folder.open("new.txt").close()
    file = folder.open_cached("new.txt")
    assert file.read(100, 0) == b"new"
    file.close()


def test_no_descriptor_is_left_open(folder):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in LEFT:
        folder.open_cached(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
