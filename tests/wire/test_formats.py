import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.formats import EXTENSIONS, FORMATS, parse_extension

CASES = {
    "csv": ("csv", None, "text/csv; charset=utf-8", False),
    "tsv": ("tsv", None, "text/tab-separated-values; charset=utf-8", False),
    "ndjson": ("ndjson", None, "application/x-ndjson", False),
    "json": ("json", None, "application/json", False),
    "parquet": ("parquet", None, "application/vnd.apache.parquet", True),
    "arrow": ("arrow", None, "application/vnd.apache.arrow.file", True),
    "xlsx": (
        "xlsx",
        None,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        True,
    ),
    "csv.gz": ("csv", "gz", "application/gzip", False),
    "csv.zst": ("csv", "zst", "application/zstd", False),
    "parquet.gz": ("parquet", "gz", "application/gzip", True),
    "xlsx.zst": ("xlsx", "zst", "application/zstd", True),
}

UNKNOWN = {
    "empty": "",
    "a leading dot": ".csv",
    "a trailing dot": "csv.",
    "upper case": "CSV",
    "a compression alone": "gz",
    "two compressions": "csv.gz.zst",
    "the wrong way round": "gz.csv",
    "another format": "html",
    "another compression": "csv.bz2",
    "a blank": "csv ",
    "a line break": "csv\n",
}


@pytest.mark.parametrize("extension", CASES)
def test_parse_extension(extension):
    file_format = parse_extension(extension)
    assert file_format is not None
    assert (
        file_format.format.name,
        file_format.compression,
        file_format.media_type,
        file_format.format.typed,
    ) == CASES[extension]


@pytest.mark.parametrize("extension", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_no_download_has(extension):
    assert parse_extension(extension) is None


def test_extensions_are_all_formats_plain_and_compressed():
    assert EXTENSIONS[:7] == ("csv", "tsv", "ndjson", "json", "parquet", "arrow", "xlsx")
    assert sorted(EXTENSIONS[7:]) == sorted(
        f"{name}.{c}" for name in FORMATS for c in ("gz", "zst")
    )


def test_each_extension_is_read_back():
    assert [parse_extension(extension).extension for extension in EXTENSIONS] == [*EXTENSIONS]


def test_only_a_sheet_has_limits():
    limits = {f.name: (f.max_rows, f.max_columns) for f in FORMATS.values() if f.max_rows}
    assert limits == {"xlsx": (2**20 - 1, 2**14)}


@settings(deadline=None)
@given(st.text() | st.text("csvjonzstg."))
def test_any_other_text_is_none(text):
    assert (parse_extension(text) is None) == (text not in EXTENSIONS)
