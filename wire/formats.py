"""The formats an export can have: their names, extensions and media types.

Pure: knows nothing of how a format is encoded (that is `encoders/`).
Way in: parse_extension.
"""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """A way to write rows as bytes.

    typed: the format carries a type per column, so each column must have one for all rows.
    max_rows, max_columns: what the format can hold, None when it has no such limit.
    """

    name: str
    media_type: str
    typed: bool
    max_rows: int | None = None
    max_columns: int | None = None


class FileType(NamedTuple):
    """A format and how it is compressed: what the part of a file name after the source says."""

    format: Format
    compression: str | None

    @property
    def extension(self) -> str:
        return self.format.name + (f".{self.compression}" if self.compression else "")

    @property
    def media_type(self) -> str:
        return COMPRESSIONS[self.compression] if self.compression else self.format.media_type


FORMATS = {
    f.name: f
    for f in (
        Format("csv", "text/csv; charset=utf-8", typed=False),
        Format("tsv", "text/tab-separated-values; charset=utf-8", typed=False),
        Format("ndjson", "application/x-ndjson", typed=False),
        Format("json", "application/json", typed=False),
        Format("parquet", "application/vnd.apache.parquet", typed=True),
        Format("arrow", "application/vnd.apache.arrow.file", typed=True),
        Format(
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            typed=True,
            # The sheet has 1,048,576 rows; the first holds the column names.
            max_rows=1_048_575,
            max_columns=16_384,
        ),
    )
}

# A compressed download is a file of its own, not a Content-Encoding: it stays compressed on disk.
COMPRESSIONS = {"gz": "application/gzip", "zst": "application/zstd"}

# Every extension that a download may have, plain ones first.
EXTENSIONS = (*FORMATS, *(f"{name}.{suffix}" for name in FORMATS for suffix in COMPRESSIONS))


# A folder as one file, made while it is sent as exports of rows are.
TARBALL = FileType(Format("tar", "application/x-tar", typed=False), "zst")


def media_type_of(extension: str) -> str:
    """Return the media type of an export. extension: one of EXTENSIONS, or TARBALL's."""
    if extension == TARBALL.extension:
        return TARBALL.media_type
    file_type = parse_extension(extension)
    assert file_type is not None, extension
    return file_type.media_type


def parse_extension(extension: str) -> FileType | None:
    """Return the file_type that an extension without its leading dot names, None when none does."""
    if extension not in EXTENSIONS:
        return None
    name, _, compression = extension.partition(".")
    return FileType(FORMATS[name], compression or None)
