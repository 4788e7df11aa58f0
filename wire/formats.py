"""The formats an export can have: their names, extensions and media types.

Pure: knows nothing of how a format is encoded (that is `encoders/`).
Way in: parse_extension.
"""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """A format of rows.

    typed: the format has a type per column, so each column must have one for all rows.
    max_rows, max_columns: the limits of the format, None where it has none.
    """

    name: str
    media_type: str
    typed: bool
    max_rows: int | None = None
    max_columns: int | None = None


class FileFormat(NamedTuple):
    """A format and a compression, as in the extension of a file name."""

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


# A folder as one file, recorded as an export.
TARBALL = FileFormat(Format("tar", "application/x-tar", typed=False), "zst")


def media_type_of(extension: str) -> str:
    """Return the media type of an export. extension: one of EXTENSIONS, or TARBALL's."""
    if extension == TARBALL.extension:
        return TARBALL.media_type
    file_format = parse_extension(extension)
    assert file_format is not None, extension
    return file_format.media_type


def parse_extension(extension: str) -> FileFormat | None:
    """Return the format and compression of an extension without its leading dot, else None."""
    if extension not in EXTENSIONS:
        return None
    name, _, compression = extension.partition(".")
    return FileFormat(FORMATS[name], compression or None)
