"""Media types of files by name, and whether a browser may show them.

Pure. Way in: guess_media_type, is_text, is_shown.
"""

from __future__ import annotations

from mimetypes import MimeTypes

# Without the machine's own tables: the same everywhere.
_TYPES = MimeTypes(filenames=())
# Types that Python's table lacks, or that differ between its versions.
_MORE = {
    ".flac": "audio/flac", ".js": "text/javascript", ".json": "application/json",
    ".log": "text/plain", ".m4a": "audio/mp4", ".md": "text/markdown", ".mjs": "text/javascript",
    ".mkv": "video/x-matroska", ".oga": "audio/ogg", ".ogg": "audio/ogg", ".ogv": "video/ogg",
    ".opus": "audio/ogg", ".parquet": "application/vnd.apache.parquet", ".wasm": "application/wasm",
    ".webm": "video/webm", ".webp": "image/webp", ".woff2": "font/woff2",
}  # fmt: skip
for _extension, _type in _MORE.items():
    _TYPES.add_type(_type, _extension)
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
# Types that a browser shows and does not run: safe on the origin of our own pages.
_SHOWN = ("image/", "audio/", "video/", "text/plain", "application/pdf")
_RUN = ("image/svg+xml",)


def guess_media_type(name: str) -> str:
    """Return the media type for a file's name, without a charset."""
    media_type, encoding = _TYPES.guess_type(name)
    if encoding is not None:
        return _COMPRESSED.get(encoding, "application/octet-stream")
    return media_type or "application/octet-stream"


def is_text(media_type: str) -> bool:
    """Does the media type have a charset?"""
    return media_type.startswith("text/")


def is_shown(media_type: str) -> bool:
    """May a browser show it on our own origin? Types that can run scripts are saved instead."""
    return media_type.startswith(_SHOWN) and not media_type.startswith(_RUN)
