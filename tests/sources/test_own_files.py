"""The server's own files are served by no folder, and are not even opened."""

import fcntl
import io
import os
import subprocess
import sys
from contextlib import closing

import pytest

from sources.errors import NoSuchFile
from sources.folders.archives import ArchiveReader, Digests, ZipArchive
from sources.folders.folder import Folder, SequentialOpener
from sources.folders.snapshots import take_snapshot
from sources.folders.tarballs import pack_folder
from sources.folders.tree import Tree

OWN = ("state.db", "state.db-wal", "state.db-shm", "secret.key")
LOCK = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


@pytest.fixture
def instance(tmp_path):
    """An instance folder; this process locks its files as SQLite does, until it closes one."""
    instance = tmp_path / "instance"
    instance.mkdir(mode=0o700)
    held = [os.open(instance / name, os.O_RDWR | os.O_CREAT, 0o600) for name in OWN]
    for descriptor in held:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    yield instance
    for descriptor in held:
        os.close(descriptor)


def lost_locks(instance):
    """Return the files that another process can lock."""

    def can_lock(name):
        command = [sys.executable, "-c", LOCK, str(instance / name)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    return [name for name in OWN if can_lock(name)]


@pytest.fixture
def folder(tmp_path, instance):
    """A folder with hard links to them, and with a private file that is not one of them."""
    root = tmp_path / "served"
    root.mkdir()
    (root / "private").write_bytes(b"private")
    (root / "private").chmod(0o600)
    folder = Folder("served", root, instance=instance)
    folder.open("private").close()
    for name in OWN:
        (root / name).hardlink_to(instance / name)
    return folder


def test_neither_they_nor_their_names_are_there(folder, instance):
    opener = SequentialOpener(folder)
    with closing(opener):
        for name in OWN:
            for attempt in (folder.open, opener.open):
                with pytest.raises(NoSuchFile):
                    attempt(name)
            assert folder.open_cached(name) is None
        opener.open("private").close()
    assert [entry.name for entry in folder.entries()] == ["private"]
    assert lost_locks(instance) == []


def test_a_file_that_is_made_later_is_found(folder, instance):
    for name in ("state.db", "state.db-wal"):
        (instance / name).unlink()
        (instance / name).touch(mode=0o600)
        (folder.path / "later").unlink(missing_ok=True)
        (folder.path / "later").hardlink_to(instance / name)
        assert folder.open_cached("later") is None
        with pytest.raises(NoSuchFile):
            folder.open("later")


def test_a_link_to_one_is_not_followed(folder, instance):
    (folder.path / "link").symlink_to("secret.key")
    with pytest.raises(NoSuchFile):
        folder.open("link")
    assert lost_locks(instance) == []


def test_a_mount_of_the_instance_folder_is_no_folder(folder, instance):
    mount = folder.path / "mount"
    mount.mkdir()
    command = ["mount", "--bind", instance, mount]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        for path in ("mount/", "mount/secret.key"):
            with pytest.raises(NoSuchFile):
                folder.open(path.removesuffix("/"))
        assert [entry.name for entry in folder.entries()] == ["private"]
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)
    assert lost_locks(instance) == []


def test_archives_and_tarballs_are_without_them(folder, instance):
    snapshot = take_snapshot(folder)
    assert [file.path for file in snapshot.files] == ["private"]
    assert [path for path, _ in snapshot.left_out] == sorted(OWN)
    archive = ZipArchive(folder, snapshot, Digests())
    with closing(ArchiveReader(archive, 0, archive.layout.size)) as reader:
        while reader.read() is not None:
            pass
    tree = Tree("served", str(folder.path), False, snapshot.digest(), str(instance))
    assert pack_folder(tree, io.BytesIO(), lambda number: None) == 1
    assert lost_locks(instance) == []
