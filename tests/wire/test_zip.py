"""ZIP: every byte where the layout says it is, and archives that others read."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.zip import ZipLayout, ZipMember, member_path

GIB = 1024**3
LOCAL, DESCRIPTOR, RECORD = b"PK\3\4", b"PK\7\x08", b"PK\1\2"
END64, LOCATOR, END = b"PK\6\6", b"PK\6\7", b"PK\5\6"

# Not "/" alone: a folder's path is its name and a slash.
PATHS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=30
)
CONTENTS = st.none() | st.binary(max_size=300)
TIMES = st.floats(0, 2**31 - 1)


NAMES = {
    "as it is": ("sub/100% of it.txt", "sub/100% of it.txt"),
    "4.4.17.1 all slashes are forward ones": ("a\\b", "a%5Cb"),
    "out of the folder, on Windows": ("..\\..\\a.exe", "..%5C..%5Ca.exe"),
    "what looks like one already": ("a%5Cb", "a%255Cb"),
    "what looks like a percent sign": ("a%25", "a%2525"),
    "another escape": ("a%20b%5c", "a%20b%5c"),
}


@pytest.mark.parametrize(("path", "want"), NAMES.values(), ids=NAMES.keys())
def test_names_in_an_archive_have_no_backslash(path, want):
    assert member_path(path) == want


@given(st.text("\\%25C/a", max_size=12))
def test_a_name_in_an_archive_stands_for_one_path(path):
    named = member_path(path)
    assert "\\" not in named
    assert named.replace("%5C", "\\").replace("%25", "%") == path


@st.composite
def trees(draw):
    """Draw members with their contents: a folder has the content b""."""
    drawn = draw(st.dictionaries(PATHS, st.tuples(CONTENTS, TIMES), max_size=12))
    tree = {}
    for path, (content, modified_s) in drawn.items():
        name = f"{path}/" if content is None else path
        tree[ZipMember(name, len(content or b""), modified_s)] = content or b""
    return tree


def pieces_of(layout, contents):
    """Yield the archive, a piece for each thing the layout knows the place of."""
    crc32s = [zlib.crc32(content) for content in contents]
    for index, content in enumerate(contents):
        yield layout.head(index) + content + layout.tail(index, crc32s[index])
    yield layout.directory(crc32s)


def archive_of(tree):
    return b"".join(pieces_of(ZipLayout(list(tree)), tree.values()))


@given(trees())
def test_everything_is_where_the_layout_says(tree):
    layout = ZipLayout(list(tree))
    position = 0
    for index, piece in enumerate(pieces_of(layout, tree.values())):
        assert position == [*layout.starts, layout.directory_start][index]
        for inside in (position, position + len(piece) // 2, position + len(piece) - 1):
            assert layout.index_at(inside) == index
        position += len(piece)
    assert position == layout.size


@given(trees())
def test_python_reads_what_was_put_in(tree):
    with zipfile.ZipFile(io.BytesIO(archive_of(tree))) as members:
        assert members.testzip() is None
        assert members.namelist() == [member.path for member in tree]
        for (member, content), info in zip(tree.items(), members.infolist(), strict=True):
            assert members.read(info) == content
            assert info.is_dir() == member.is_folder
            assert info.external_attr >> 16 == (0o040755 if member.is_folder else 0o100644)
            assert info.flag_bits & (1 << 11)
            assert time_of(info) == int(member.modified_s)
            assert info.extract_version == 20


def time_of(info):
    """Return the unix seconds in the extra field 0x5455."""
    kind, length, flags, seconds = struct.unpack("<HHBi", info.extra)
    assert (kind, length, flags) == (0x5455, 5, 1)
    return seconds


@given(trees())
def test_without_need_there_is_nothing_of_zip64(tree):
    layout = ZipLayout(list(tree))
    directory = layout.directory([0] * len(tree))
    assert directory[-22:].startswith(END)
    assert directory[-42:-38] != LOCATOR
    for index, member in enumerate(tree):
        head = layout.head(index)
        assert head[4:6] == b"\x14\0"
        assert len(head) == 30 + len(member.path.encode()) + 9
        assert len(layout.tail(index, 1)) == (16 if member.size else 0)


def test_an_archive_of_nothing_is_its_end():
    layout = ZipLayout([])
    assert layout.directory([]) == END + bytes(18)
    assert (layout.size, layout.directory_start, layout.index_at(0)) == (22, 0, 0)
    assert zipfile.ZipFile(io.BytesIO(layout.directory([]))).namelist() == []


# 4.4.4: bit 3 says that the checksum comes after the content, bit 11 that the name is UTF-8.
FLAGS = {
    "a file": (ZipMember("a", 5, 0), 1 << 11 | 1 << 3),
    "an empty file": (ZipMember("a", 0, 0), 1 << 11),
    "a folder": (ZipMember("a/", 0, 0), 1 << 11),
}


@pytest.mark.parametrize(("member", "flags"), FLAGS.values(), ids=FLAGS.keys())
def test_both_headers_agree(member, flags):
    layout = ZipLayout([member])
    local = struct.unpack("<4sHHHIIIIHH", layout.head(0)[:30])
    # Nothing is known of the content yet.
    assert local[0:4] == (LOCAL, 20, flags, 0)
    assert local[5:8] == (0, 0, 0)
    record = struct.unpack("<4sHHHHIIIIHHHHHII", layout.directory([7])[:46])
    assert record[0:5] == (RECORD, 3 << 8 | 20, 20, flags, 0)
    assert record[5] == local[4]
    assert record[6:9] == (7, member.size, member.size)
    assert record[9:11] == local[8:10]


# Times.

DOS_TIMES = {
    "an even second": (1_700_000_000, (2023, 11, 14, 22, 13, 20)),
    "an odd one is rounded down": (1_700_000_001.9, (2023, 11, 14, 22, 13, 20)),
    "the first": (315_532_800, (1980, 1, 1, 0, 0, 0)),
    "the last": (4_354_819_199, (2107, 12, 31, 23, 59, 58)),
    "the epoch is before the first": (0, (1980, 1, 1, 0, 0, 0)),
    "before the epoch": (-10_000_000_000, (1980, 1, 1, 0, 0, 0)),
    "after the last": (4_354_819_200, (2107, 12, 31, 23, 59, 58)),
    "in the year 30,000": (884_541_600_000, (2107, 12, 31, 23, 59, 58)),
}


@pytest.mark.parametrize(("modified_s", "want"), DOS_TIMES.values(), ids=DOS_TIMES.keys())
def test_a_time_that_dos_has_is_the_nearest_one(modified_s, want):
    [info] = zipfile.ZipFile(
        io.BytesIO(archive_of({ZipMember("a", 0, modified_s): b""}))
    ).infolist()
    assert info.date_time == want


@pytest.mark.parametrize("modified_s", [1e19, -1e19, 1e300])
def test_a_time_that_is_no_date_is_a_dos_time_all_the_same(modified_s):
    [info] = zipfile.ZipFile(
        io.BytesIO(archive_of({ZipMember("a", 0, modified_s): b""}))
    ).infolist()
    assert info.date_time[0] in (1980, 2107)


FIRST, LAST = -(2**31), 2**31 - 1
UNIX_TIMES = {0: 0, LAST: LAST, LAST + 1: LAST, FIRST: FIRST, FIRST - 5: FIRST, 1e300: LAST}


@pytest.mark.parametrize(("modified_s", "want"), UNIX_TIMES.items())
def test_a_time_past_32_bits_is_the_nearest_one(modified_s, want):
    [info] = zipfile.ZipFile(
        io.BytesIO(archive_of({ZipMember("a", 0, modified_s): b""}))
    ).infolist()
    assert time_of(info) == want


# ZIP64.


def write_sparse(path: Path, layout: ZipLayout) -> None:
    """Write all of the archive but what is in its members, which are holes."""
    crc32s = [1] * len(layout.members)
    with path.open("wb") as file:
        for index, start in enumerate(layout.starts):
            file.seek(start)
            file.write(layout.head(index))
            file.seek(layout.members[index].size, 1)
            file.write(layout.tail(index, 1))
        assert file.tell() == layout.directory_start
        file.write(layout.directory(crc32s))
        assert file.tell() == layout.size


def listed(path, *command):
    """Return what a program lists of the archive at path; "" where there is no such program."""
    if shutil.which(command[0]) is None:
        return ""
    run = [*command, path]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def check_read(path, layout):
    """Check that others find every member, as large as it is, where it is."""
    infos = zipfile.ZipFile(path).infolist()
    assert [(info.filename, info.file_size) for info in infos] == [
        (member.path, member.size) for member in layout.members
    ]
    assert [info.header_offset for info in infos] == layout.starts
    for command in (["unzip", "-Z", "-l"], ["7z", "l", "-slt"]):
        told = listed(path, *command)
        for member in layout.members if told else []:
            assert member.path.removesuffix("/") in told
            assert str(member.size) in told


def versions_in(layout):
    """Return the versions needed in the directory's records, in order."""
    directory = layout.directory([0] * len(layout.members))
    found, position = [], 0
    while directory[position : position + 4] == RECORD:
        fields = struct.unpack("<4sHHHHIIIIHHH", directory[position : position + 34])
        found.append(fields[2])
        position += 46 + sum(fields[9:12])
    return found, directory[position:]


# The sizes of members a, b, c…, the versions that their heads and records need, and whether the end
# needs ZIP64. A head and a name of one letter take 40 bytes, a tail 16.
LARGE = {
    "one of 4 GiB - 2": ([4 * GIB - 2], [20], [20], True),
    "one of 4 GiB - 1": ([4 * GIB - 1], [45], [45], True),
    "one of 4 GiB": ([4 * GIB], [45], [45], True),
    "one of 10 GiB and a small one": ([10 * GIB, 5], [45, 20], [45, 45], True),
    "a small one, and one of 10 GiB": ([5, 10 * GIB], [20, 45], [20, 45], True),
    "a directory at 4 GiB - 2": ([4 * GIB - 2 - 56], [20], [20], False),
    "a directory at 4 GiB - 1": ([4 * GIB - 1 - 56], [20], [20], True),
    "a member at 4 GiB - 2": ([4 * GIB - 2 - 56, 5], [20, 20], [20, 20], True),
    "a member at 4 GiB - 1": ([4 * GIB - 1 - 56, 5], [20, 20], [20, 45], True),
    "a folder past 4 GiB": ([3 * GIB, 3 * GIB, 0], [20, 20, 20], [20, 20, 45], True),
    "all of it": ([5 * GIB, 5 * GIB, 0, 1], [45, 45, 20, 20], [45, 45, 45, 45], True),
}


@pytest.mark.parametrize(
    ("sizes", "heads", "records", "has_end64"), LARGE.values(), ids=LARGE.keys()
)
def test_zip64_only_where_it_is_needed(tmp_path, sizes, heads, records, has_end64):
    members = [ZipMember("abcd"[i] + "/" * (not size), size, 0) for i, size in enumerate(sizes)]
    layout = ZipLayout(members)
    assert [struct.unpack("<H", layout.head(i)[4:6])[0] for i in range(len(sizes))] == heads
    versions, end = versions_in(layout)
    assert versions == records
    assert end.startswith(END64 if has_end64 else END)
    write_sparse(tmp_path / "large.zip", layout)
    check_read(tmp_path / "large.zip", layout)


def test_a_large_member_tells_its_size_in_64_bits_after_it():
    """4.3.9.2: of eight bytes where, and only where, the head has the ZIP64 field."""
    layout = ZipLayout([ZipMember("a", 5 * GIB, 0), ZipMember("b", 5, 0)])
    head = layout.head(0)
    assert struct.unpack("<II", head[18:26]) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert struct.unpack("<HHQQ", head[-20:]) == (1, 16, 0, 0)
    assert layout.tail(0, 7) == struct.pack("<4sIQQ", DESCRIPTOR, 7, 5 * GIB, 5 * GIB)
    assert layout.tail(1, 7) == struct.pack("<4sIII", DESCRIPTOR, 7, 5, 5)


def test_a_record_has_in_64_bits_only_what_does_not_fit():
    """4.5.3: "they MUST appear in the following order", and only where the field is all ones."""
    layout = ZipLayout(
        [ZipMember("a", 5 * GIB, 0), ZipMember("b", 5, 0), ZipMember("c", 6 * GIB, 0)]
    )
    want = [
        struct.pack("<HHQQ", 1, 16, 5 * GIB, 5 * GIB),
        struct.pack("<HHQ", 1, 8, layout.starts[1]),
        struct.pack("<HHQQQ", 1, 24, 6 * GIB, 6 * GIB, layout.starts[2]),
    ]
    directory = layout.directory([0, 0, 0])
    position = 0
    for field in want:
        length = 46 + 1 + 9 + len(field)
        assert directory[position : position + length].endswith(field)
        position += length
    assert directory[position:].startswith(END64)


@pytest.mark.parametrize(("count", "has_end64"), [(65_534, False), (65_535, True), (70_000, True)])
def test_zip64_for_more_members_than_16_bits_count(tmp_path, count, has_end64):
    tree = {ZipMember(f"{i:x}", 0, 0): b"" for i in range(count)}
    layout, content = ZipLayout(list(tree)), archive_of(tree)
    assert len(content) == layout.size
    assert (content[-98:-94] == END64) == (content[-42:-38] == LOCATOR) == has_end64
    assert struct.unpack("<HH", content[-14:-10]) == (min(count, 65_535),) * 2
    path = tmp_path / "many.zip"
    path.write_bytes(content)
    assert len(zipfile.ZipFile(path).namelist()) == count
    told = listed(path, "unzip", "-Z", "-h", "-t")
    assert f"{count} files" in told or not told


def test_the_end_in_64_bits_says_where_everything_is():
    layout = ZipLayout([ZipMember("a", 5 * GIB, 0)])
    end64 = layout.directory([0])[-98:]
    length = layout.size - 98 - layout.directory_start
    assert struct.unpack("<4sQHHIIQQQQ", end64[:56]) == (
        END64, 44, 3 << 8 | 45, 45, 0, 0, 1, 1, length, layout.directory_start,
    )  # fmt: skip
    assert struct.unpack("<4sIQI", end64[56:76]) == (LOCATOR, 0, layout.size - 98, 1)


def test_a_layout_is_quick_to_make():
    """Of 100,000 members: it is made at every request, also of a single byte."""
    members = [ZipMember(f"folder/of/some/depth/{i}.txt", i, 1.7e9) for i in range(100_000)]
    started_s = time.process_time()
    ZipLayout(members)
    assert time.process_time() - started_s < 2.0
