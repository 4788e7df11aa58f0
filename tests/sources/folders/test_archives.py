"""A folder as one ZIP: the same bytes from wherever it is begun, and never other ones."""

from __future__ import annotations

import io
import mmap
import os
import random
import shutil
import subprocess
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.errors import FileChanged, FolderError, NoSuchFile
from sources.folders import archives
from sources.folders.archives import (
    MANIFEST,
    OPEN_BYTES,
    READ_BYTES,
    ArchiveReader,
    Checksums,
    Digest,
    Digests,
    ZipArchive,
    manifest_name,
)
from sources.folders.folder import Folder, Version
from sources.folders.snapshots import take_snapshot
from wire.zip import member_path

CONTENT = {
    "a": b"a" * 1000,
    "empty": b"",
    "large": random.Random(1).randbytes(2 * READ_BYTES + 12345),
    "one block": b"x" * READ_BYTES,
    "sub/inner.txt": b"inner",
    "sub/Ünïcødé 日本 🌊.txt": b"unicode",
    "two\nlines": b"two lines",
    "carriage\rreturn": b"carriage return",
    "back\\slash": b"back slash",
    "\\n": b"backslash and n",
    " blank ": b"blank",
    "# comment": b"no comment",
    "*star": b"star",
}


def make_tree(root: Path) -> Path:
    for name, content in CONTENT.items():
        root.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        root.joinpath(name).write_bytes(content)
    root.joinpath("sub", "nothing").mkdir()
    return root


@pytest.fixture
def root(tmp_path):
    return make_tree(tmp_path / "served")


def archive_of(root: Path, digests: Digests | None = None) -> ZipArchive:
    folder = Folder("served", root)
    return ZipArchive(folder, take_snapshot(folder), digests or Digests())


def span_of(archive: ZipArchive, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes start <= i < stop."""
    stop = archive.layout.size if stop is None else stop
    with closing(ArchiveReader(archive, start, stop)) as reader:
        pieces = list(iter(reader.read, None))
        assert reader.read() is None
    return b"".join(pieces)


def settle(path: Path) -> None:
    """Wait until the next change can be told from the last one."""
    while time.time() < path.stat().st_ctime + 0.06:
        pass


def members_of(content: bytes) -> zipfile.ZipFile:
    members = zipfile.ZipFile(io.BytesIO(content))
    assert members.testzip() is None
    return members


# The whole.


def test_the_whole_has_every_file_and_the_manifest_last(root):
    archive = archive_of(root)
    whole = span_of(archive)
    assert len(whole) == archive.layout.size
    with members_of(whole) as members:
        served = sorted([*CONTENT, "sub/", "sub/nothing/"])
        assert members.namelist() == [*map(member_path, served), MANIFEST]
        assert {name: members.read(member_path(name)) for name in CONTENT} == CONTENT


def test_the_manifest_is_what_sha256sum_takes(root, tmp_path):
    with members_of(span_of(archive_of(root))) as members:
        members.extractall(tmp_path / "unpacked")
        manifest = members.read(MANIFEST).decode()
    told = subprocess.run(
        ["sha256sum", "-c", "--strict", MANIFEST],
        cwd=tmp_path / "unpacked",
        capture_output=True,
        check=True,
    )
    assert told.stdout.count(b": OK\n") == len(CONTENT)
    assert f"{sha256(b'inner').hexdigest()}  sub/inner.txt\n" in manifest
    assert f"{sha256(b'').hexdigest()}  empty\n" in manifest
    tmp_path.joinpath("unpacked", "a").write_bytes(b"other")
    assert subprocess.run(
        ["sha256sum", "-c", "--quiet", MANIFEST], cwd=tmp_path / "unpacked", capture_output=True
    ).returncode


def test_the_manifest_is_what_sha256sum_writes(root, tmp_path):
    members = members_of(span_of(archive_of(root)))
    members.extractall(tmp_path / "unpacked")
    manifest = members.read(MANIFEST)
    names = map(member_path, sorted(CONTENT))
    written = subprocess.run(
        ["sha256sum", "--", *names], cwd=tmp_path / "unpacked", capture_output=True, check=True
    ).stdout
    comments = [line for line in manifest.splitlines(keepends=True) if line[:2] == b"# "]
    assert b"".join(comments) + written == manifest


def test_a_backslash_is_no_separator_and_the_manifest_says_what_it_was(tmp_path):
    for name in ("a\\b", "a%5Cb", "plain"):
        tmp_path.joinpath(name).write_text(name)
    members = members_of(span_of(archive_of(tmp_path)))
    assert members.namelist() == ["a%255Cb", "a%5Cb", "plain", MANIFEST]
    assert members.read("a%5Cb") == b"a\\b"
    assert members.read(MANIFEST).decode().splitlines()[:2] == [
        "# renamed: 'a%5Cb': 'a%255Cb'",
        "# renamed: 'a\\\\b': 'a%5Cb'",
    ]


def test_what_was_left_out_is_named_in_lines_of_their_own(root, tmp_path):
    root.joinpath("out").symlink_to("/etc/passwd")
    root.joinpath("two\nlines out").symlink_to("/etc/passwd")
    root.joinpath("caf\udce9").touch()
    manifest = members_of(span_of(archive_of(root))).read(MANIFEST).decode()
    comments = [line for line in manifest.splitlines() if line.startswith("#")]
    assert comments == [
        "# left out: 'caf\\udce9': not a file that is served",
        "# left out: 'out': not a file that is served",
        "# left out: 'two\\nlines out': not a file that is served",
        "# renamed: '\\\\n': '%5Cn'",
        "# renamed: 'back\\\\slash': 'back%5Cslash'",
    ]
    assert len(manifest.splitlines()) == len(CONTENT) + 5


def test_an_empty_folder_is_a_manifest(tmp_path):
    with members_of(span_of(archive_of(tmp_path))) as members:
        assert members.namelist() == [MANIFEST]
        assert members.read(MANIFEST) == b"# there is no file\n"


def test_a_folder_of_empty_ones_is_an_archive(tmp_path):
    tmp_path.joinpath("folder").mkdir()
    tmp_path.joinpath("file").touch()
    with members_of(span_of(archive_of(tmp_path))) as members:
        assert members.namelist() == ["file", "folder/", MANIFEST]


def test_a_manifest_of_the_folders_own_stays_what_it_is(root):
    root.joinpath(MANIFEST).write_bytes(b"theirs")
    root.joinpath(f"_{MANIFEST}").write_bytes(b"theirs too")
    archive = archive_of(root)
    with members_of(span_of(archive)) as members:
        assert members.namelist()[-1] == f"__{MANIFEST}"
        assert members.read(MANIFEST) == b"theirs"
        assert len(set(members.namelist())) == len(members.namelist())


def test_a_folder_called_as_the_manifest_stays_what_it_is(root):
    root.joinpath(MANIFEST).mkdir()
    folder = Folder("served", root)
    assert manifest_name(take_snapshot(folder)) != MANIFEST


def test_20_000_files(tmp_path):
    for above in range(20):
        tmp_path.joinpath(str(above)).mkdir()
        for i in range(1000):
            tmp_path.joinpath(str(above), str(i)).write_bytes(b"%d" % i)
    archive = archive_of(tmp_path)
    with zipfile.ZipFile(io.BytesIO(span_of(archive))) as members:
        assert len(members.namelist()) == 20_021
        assert members.read("7/123") == b"123"
        assert members.read(MANIFEST).count(b"\n") == 20_000


# Spans.


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """(root, whole): a folder that nobody changes, and its archive."""
    root = make_tree(tmp_path_factory.mktemp("shared") / "served")
    return root, span_of(archive_of(root))


@given(data=st.data(), is_fresh=st.booleans())
def test_every_span_is_of_the_same_bytes(shared, data, is_fresh):
    root, whole = shared
    archive = archive_of(root)
    if not is_fresh:
        span_of(archive)
    starts = [*archive.layout.starts, archive.layout.directory_start]
    places = st.integers(0, len(whole)) | st.builds(
        lambda start, off: max(0, min(start + off, len(whole))),
        st.sampled_from(starts),
        st.integers(-70, 70),
    )
    start, stop = sorted([data.draw(places), data.draw(places)])
    assert span_of(archive, start, stop) == whole[start:stop]


def test_every_byte_near_a_border_begins_a_span(shared):
    root, whole = shared
    archive = archive_of(root)
    for border in (*archive.layout.starts, archive.layout.directory_start, len(whole)):
        for start in range(max(0, border - 20), min(border + 90, len(whole))):
            assert span_of(archive, start, min(start + 50, len(whole))) == whole[start : start + 50]


@given(data=st.data())
def test_spans_in_any_order_share_what_is_known(shared, data):
    """As of a client that asks for pieces: some are read in part, by one and by another."""
    root, whole = shared
    archive = archive_of(root)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=6))
    cuts = [0, *sorted(cuts), len(whole)]
    spans = data.draw(st.permutations(list(pairwise(cuts))))
    for start, stop in spans:
        assert span_of(archive, start, stop) == whole[start:stop]


def test_pieces_are_of_about_one_size(shared):
    root, whole = shared
    with closing(ArchiveReader(archive_of(root), 0, len(whole))) as reader:
        sizes = [len(piece) for piece in iter(reader.read, None)]
    assert all(READ_BYTES <= size < 2 * READ_BYTES for size in sizes[:-1])


def test_readers_at_the_same_time_do_not_disturb_each_other(shared):
    root, whole = shared
    archive = archive_of(root)
    places = [0, 1000, 300_000, 900_000, len(whole) - 500]
    readers = [ArchiveReader(archive, place, len(whole)) for place in places]
    read = [b""] * len(readers)
    while any(pieces := [reader.read() or b"" for reader in readers]):
        read = [before + piece for before, piece in zip(read, pieces, strict=True)]
    assert read == [whole[place:] for place in places]


def test_a_reader_that_is_closed_early_leaves_nothing_open(shared):
    root, _ = shared
    archive = archive_of(root)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for start in range(0, archive.layout.size, 50_000):
        reader = ArchiveReader(archive, start, archive.layout.size)
        reader.read()
        reader.close()
        ArchiveReader(archive, start, archive.layout.size).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    # And what it has found out is kept.
    assert span_of(archive) == span_of(archive_of(root))


def test_who_goes_on_reads_no_file_again_that_is_known(root):
    """The checksums of what came before are kept: the files need not even be there any more."""
    digests = Digests()
    settle(root / "two\nlines")
    whole = span_of(archive_of(root, digests))
    archive = archive_of(root, digests)
    root.joinpath("large").unlink()
    start = archive.layout.starts[-1]
    assert span_of(archive, start) == whole[start:]


# Changes after the snapshot.


def rewrite(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def become(make: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: (path.unlink(), make(path))


CHANGES: dict[str, Callable[[Path], object]] = {
    "grown": lambda path: os.truncate(path, path.stat().st_size + 1),
    "shrunk": lambda path: os.truncate(path, 10),
    "emptied": lambda path: os.truncate(path, 0),
    "overwritten, size and time restored": rewrite,
    "removed": Path.unlink,
    "replaced by a copy": lambda path: (
        shutil.copy2(path, path.with_name(".copy")),
        path.with_name(".copy").rename(path),
    ),
    "replaced by a link out": become(lambda path: path.symlink_to("/etc/passwd")),
    "replaced by a link to another": become(lambda path: path.symlink_to("a")),
    "replaced by a pipe": become(os.mkfifo),
    "replaced by a folder": become(Path.mkdir),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_changed_after_the_snapshot_is_not_sent(root, change):
    whole = span_of(archive_of(root))
    settle(root / "large")
    archive = archive_of(root)
    change(root / "large")
    start = archive.layout.starts[[f.path for f in archive.files].index("large")]
    # Up to its head, which is known, it is as it was.
    assert span_of(archive, 0, start + 44) == whole[: start + 44]
    for place in (0, start + 44, start + 100_000, archive.layout.size - 10):
        with pytest.raises(FolderError):
            span_of(archive, place)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_changes_while_it_is_sent_is_not_sent_to_its_end(root, change):
    settle(root / "large")
    archive = archive_of(root)
    start = archive.layout.starts[[f.path for f in archive.files].index("large")]
    pieces: list[bytes] = []
    with closing(ArchiveReader(archive, start, archive.layout.size)) as reader:
        pieces.append(reader.read())
        change(root / "large")
        with pytest.raises(FileChanged):
            pieces.extend(iter(reader.read, None))
    content = b"".join(pieces)
    head = archive.layout.head([f.path for f in archive.files].index("large"))
    whole = head + CONTENT["large"]
    assert whole.startswith(content)
    assert len(content) < len(whole)


def test_a_file_that_vanished_is_told_as_such(root):
    archive = archive_of(root)
    root.joinpath("sub", "inner.txt").unlink()
    with pytest.raises(NoSuchFile):
        span_of(archive)


SHORT = Path("/sys/kernel/mm/transparent_hugepage")


@pytest.mark.parametrize("last_bytes", [0, 10, 100], ids=["whole", "directory", "manifest"])
def test_files_that_are_shorter_than_their_sizes_say_are_an_end(last_bytes):
    """As sysfs has them, and what is cut while it is read."""
    if not SHORT.is_dir():
        pytest.skip("this kernel has no such folder")
    archive = archive_of(SHORT)
    with pytest.raises(FileChanged, match="ends at byte"):
        span_of(archive, archive.layout.size - last_bytes if last_bytes else 0)


def test_so_many_small_files_are_read_between_two_looks_for_the_client(tmp_path):
    for number in range(200):
        tmp_path.joinpath(str(number)).write_bytes(b"x")
    archive = archive_of(tmp_path)
    with closing(ArchiveReader(archive, archive.layout.size - 10, archive.layout.size)) as reader:
        pieces = list(iter(reader.read, None))
    assert pieces.count(b"") == 200 * OPEN_BYTES // READ_BYTES


@pytest.mark.parametrize("stop", [READ_BYTES * 2, None], ids=["within the file", "all"])
def test_two_moments_of_a_file_are_never_one_archive(tmp_path, stop):
    """The change does not show in the times; see test_what_was_read_too_early."""
    path = tmp_path / "a"
    path.write_bytes(b"A" * READ_BYTES * 4)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        pages[:] = b"A" * READ_BYTES * 4
        archive = archive_of(tmp_path)
        with closing(ArchiveReader(archive, 0, stop or archive.layout.size)) as reader:
            assert set(reader.read()[-100:]) == set(b"A")
            pages[:] = b"B" * READ_BYTES * 4
            with pytest.raises(FileChanged):
                list(iter(reader.read, None))


def test_what_was_read_too_early_is_not_relied_on(root):
    """Two changes within a tick leave one version; so do two to a page in memory, as here."""
    digests, path = Digests(), root / "a"
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        content[0:1] = b"1"
        span_of(archive_of(root, digests))
        before = path.stat()
        content[0:1] = b"2"
    if Version.of(path.stat()) != Version.of(before):
        pytest.fail("this file system tells of every change")
    settle(path)
    members_of(span_of(archive_of(root, digests)))


def test_a_path_too_long_for_a_zip_is_left_out():
    """Outside of pytest's folder, which pytest cannot remove with it."""
    with tempfile.TemporaryDirectory() as root:
        above = os.open(root, os.O_RDONLY)
        for _ in range(270):
            os.mkdir("x" * 250, dir_fd=above)
            below = os.open("x" * 250, os.O_RDONLY, dir_fd=above)
            os.close(above)
            above = below
        os.close(above)
        try:
            archive = archive_of(Path(root))
            assert len(span_of(archive)) == archive.layout.size
        finally:
            subprocess.run(["rm", "-rf", root], check=True)
            Path(root).mkdir()


def test_a_file_that_may_not_be_read_is_left_out():
    """Else no archive of the folder would ever be whole."""
    with tempfile.TemporaryDirectory(prefix="headwater-") as name:
        root = Path(name)
        root.chmod(0o755)
        root.joinpath("open").write_bytes(b"open")
        root.joinpath("closed").write_bytes(b"closed")
        root.joinpath("closed").chmod(0)
        is_root = os.geteuid() == 0
        if is_root:
            os.setresuid(65534, 65534, 0)
        try:
            with members_of(span_of(archive_of(root))) as members:
                assert members.namelist() == ["open", MANIFEST]
                assert b"# left out: 'closed': " in members.read(MANIFEST)
        finally:
            if is_root:
                os.setresuid(0, 0, 0)


# What is known of files.


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50))))
def test_a_digest_goes_on_only_from_what_it_knows(content, parts):
    """Parts in any order, twice or not at all: it is right up to its position."""
    digest = Digest()
    for position, size in parts:
        digest.take(position, content[position : position + size])
        known = content[: digest.position]
        assert digest.checksums() == Checksums(zlib.crc32(known), sha256(known).digest())


def version(number: int) -> Version:
    return Version(0, number, 0, 0, 0)


def test_a_digest_is_one_readers_alone_until_it_is_given(root):
    digests = Digests()
    first = digests.take(version(1))
    assert isinstance(first, Digest)
    digests.give(version(1), first)
    assert digests.take(version(1)) is first
    assert digests.take(version(1)) is not first


def test_checksums_are_everybodys():
    digests, known = Digests(), Checksums(1, b"x")
    digests.give(version(1), known)
    assert digests.take(version(1)) is digests.take(version(1)) is known


def test_those_used_longest_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(archives, "MAX_DIGESTS", 3)
    digests = Digests()
    for number in range(3):
        digests.give(version(number), Checksums(number, b""))
    digests.take(version(0))
    digests.give(version(3), Checksums(3, b""))
    known = [digests.take(version(number)) for number in range(4)]
    assert [isinstance(each, Checksums) for each in known] == [True, False, True, True]
