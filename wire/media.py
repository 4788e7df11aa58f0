"""Media types of files by their names, and which of them a browser may show.

Pure. Way in: guess_media_type, is_text, is_shown.
"""

from __future__ import annotations

from mimetypes import MimeTypes

# Without the machine's own tables: the same everywhere.
_TYPES = MimeTypes(filenames=())
# What Python's table lacks, or has had otherwise in some version.
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
# What a browser shows and does not run: it may be shown on our own pages' origin.
_SHOWN = ("image/", "audio/", "video/", "text/plain", "application/pdf")
_RUN = ("image/svg+xml",)


def guess_media_type(name: str) -> str:
    """Return the media type for a file's name; a text's charset is not known from it."""
    media_type, encoding = _TYPES.guess_type(name)
    if encoding is not None:
        return _COMPRESSED.get(encoding, "application/octet-stream")
    return media_type or "application/octet-stream"


def is_text(media_type: str) -> bool:
    """Is it one that has a charset?"""
    return media_type.startswith("text/")


def is_shown(media_type: str) -> bool:
    """May a browser show it on our own origin? What it could run as a script is saved instead."""
    return media_type.startswith(_SHOWN) and not media_type.startswith(_RUN)
