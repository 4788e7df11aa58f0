"""A folder as .tar.zst: read back by tarfile and by sha256sum's rules."""

import hashlib
import io
import tarfile
import time

import pytest
import zstandard

from sources.errors import FileChanged
from sources.folders.folder import Folder
from sources.folders.snapshots import take_snapshot
from sources.folders.tarballs import pack_folder
from sources.folders.tree import Tree
from sources.grain import TICK_S

FILES = {
    "a.txt": b"hello\n",
    "empty": b"",
    "sub/deep/ünï çödé": b"x" * 300_000,
    "sub/" + "long" * 60: b"a name that ustar has no room for",
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "nothing in it").mkdir(parents=True)
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return Folder("root", root)


def tree_of(folder):
    return Tree(folder.name, str(folder.path), folder.hidden, take_snapshot(folder).digest())


def pack(tree, done=lambda number: None):
    sink = io.BytesIO()
    count = pack_folder(tree, sink, done)
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(sink.getvalue())
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        members = tar.getmembers()
        return count, members, {m.name: tar.extractfile(m).read() for m in members if m.isfile()}


def test_everything_is_in_it_and_the_manifest_last(folder):
    told = []
    count, members, content = pack(tree_of(folder), told.append)
    manifest = content.pop("MANIFEST.sha256").decode()
    assert content == FILES
    assert members[-1].name == "MANIFEST.sha256"
    assert {m.name for m in members if m.isdir()} == {"nothing in it", "sub", "sub/deep"}
    assert told == list(range(1, count + 1))
    assert sorted(manifest.splitlines()) == sorted(
        f"{hashlib.sha256(data).hexdigest()}  {path}" for path, data in FILES.items()
    )


def test_times_are_kept(folder):
    _, members, _ = pack(tree_of(folder))
    for member in members[:-1]:
        wanted = (folder.path / member.name).stat().st_mtime
        assert member.mtime == pytest.approx(wanted, abs=1e-3)


def test_another_folder_than_was_asked_for(folder):
    tree = tree_of(folder)
    (folder.path / "a.txt").write_bytes(b"other\n")
    with pytest.raises(FileChanged, match="request it again"):
        pack(tree)


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_a_file_that_is_not_the_same_when_it_is_due(folder, change):
    last = folder.path / "sub/deep/ünï çödé"

    def meddle(number):
        if number == 1:
            time.sleep(TICK_S)  # the clock of the file system goes on
            last.write_bytes(b"y" * 300_000) if change == "changed" else last.unlink()

    with pytest.raises(Exception, match=r"changed|no such file"):
        pack(tree_of(folder), meddle)
