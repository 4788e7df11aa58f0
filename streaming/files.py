"""Files and listings of the folders that the catalogue names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Literal

from flask import Blueprint, Request, Response, jsonify, render_template, request

from journal import RunNative
from sources.errors import MalformedPath
from sources.folders.folder import Folder, OpenFile
from streaming.admission import can
from streaming.content import answer_content, etag_of
from streaming.errors import unknown
from streaming.listings import answer_listing, show_bytes, show_folders, show_utc
from streaming.pages import is_set, wants_page
from wire.charsets import charset_of
from wire.filenames import content_disposition
from wire.media import guess_media_type, is_shown, is_text
from wire.ranges import Span

# As in exports: larger chunks are no faster, smaller ones cost a system call each.
CHUNK_BYTES = 256 * 1024
# The part of a text in which its charset is looked for, in each request: up to 0.5 ms.
CHARSET_BYTES = 256 * 1024
# The same on the hub's thread: 0.03 ms.
CHARSET_BYTES_ON_HUB = 16 * 1024


def make_blueprint(folders: Mapping[str, Folder], run_native: RunNative) -> Blueprint:
    """Return the blueprint of /files."""
    blueprint = Blueprint("files", __name__)
    blueprint.add_app_template_filter(show_utc, "utc")
    blueprint.add_app_template_filter(show_bytes, "bytes")

    @blueprint.get("/files", strict_slashes=False)
    def show_all() -> Response | str:
        shown = show_folders(folders)
        if wants_page(request):
            return render_template("folders.html", folders=shown, named=len(folders))
        return jsonify(folders=shown)

    @blueprint.get("/files/<name>/", defaults={"path": ""})
    @blueprint.get("/files/<name>/<path:path>")
    def show(name: str, path: str) -> Response:
        folder = folder_named(folders, name)
        path = _path_asked_for(request)
        if path and not path.endswith("/"):
            opened = _open_cached(folder, path) or run_native(partial(_open, folder, path))
            file, media_type = opened
            is_attachment = is_set(request, "download")
            content = FileContent(path, file, media_type, run_native, is_attachment=is_attachment)
            return answer_content(request, content)
        path = path.removesuffix("/")
        return answer_listing(request, folder, path, run_native(partial(folder.entries, path)))

    return blueprint


def folder_named(folders: Mapping[str, Folder], name: str) -> Folder:
    """Return the folder. Raises Refusal (404)."""
    if name not in folders:
        raise unknown("folder", name, list(filter(partial(can, "read"), folders)))
    return folders[name]


def _path_asked_for(request: Request) -> str:
    """Return the path below the folder as it was sent: Flask has corrected its own copy.

    Raises MalformedPath.
    """
    address = request.environ.get("RAW_URI", "").partition("?")[0]
    if "%2f" in address.lower():
        raise MalformedPath("a / in a name cannot be asked for")
    raw: bytes = request.environ["PATH_INFO"].encode("latin-1").split(b"/", 3)[3]
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedPath("a path is UTF-8") from error


def _open_cached(folder: Folder, path: str) -> tuple[OpenFile, str] | None:
    """Return the same as _open, None where that may wait for a disk or take long."""
    file = folder.open_cached(path)
    if file is None:
        return None
    media_type = guess_media_type(path)
    if not is_text(media_type):
        return file, media_type
    is_short = file.version.size <= CHARSET_BYTES_ON_HUB
    text = file.read_cached(file.version.size, 0) if is_short else None
    if text is None:
        file.close()
        return None
    return file, _with_charset(media_type, charset_of(text, is_whole=True))


def _open(folder: Folder, path: str) -> tuple[OpenFile, str]:
    """Return the file and its media type, with the charset of a text where it is known.

    Raises as folder.open.
    """
    file = folder.open(path)
    media_type = guess_media_type(path)
    charset = None
    if is_text(media_type):
        # Sending the file reports errors and changes.
        with suppress(OSError):
            head = os.pread(file.descriptor, CHARSET_BYTES, 0)
            charset = charset_of(head, is_whole=len(head) == file.version.size)
    return file, _with_charset(media_type, charset)


def _with_charset(media_type: str, charset: str | None) -> str:
    return f"{media_type}; charset={charset}" if charset else media_type


class FileContent:
    """A file as a streaming.content.Content. path: below the folder."""

    def __init__(
        self,
        path: str,
        file: OpenFile,
        media_type: str,
        run_native: RunNative,
        *,
        is_attachment: bool,
    ) -> None:
        name = path.rpartition("/")[2]
        self.name = f"file={path!a}"
        self.size = file.version.size
        is_settled = file.version.is_settled(time.time())
        self.etag = etag_of(file.version.digest(), is_settled=is_settled)
        self.modified_s: float | None = file.modified_s if is_settled else None
        self.media_type = media_type
        is_inline = is_shown(self.media_type) and not is_attachment
        disposition: Literal["attachment", "inline"] = "inline" if is_inline else "attachment"
        self.headers: Mapping[str, str] = {
            "Content-Disposition": content_disposition(name, disposition),
            "Cache-Control": "private, no-cache",
        }
        self._file = file
        self._is_taken = False
        self._run_native = run_native

    def read(self, span: Span) -> FilePiece:
        # The first piece, mostly the only one, takes the file itself.
        file = self._file.duplicate() if self._is_taken else self._file
        self._is_taken = True
        return FilePiece(file, span, self._run_native)

    def close(self) -> None:
        if not self._is_taken:
            self._file.close()


class FilePiece:
    """The bytes of a span of a file. Raises FileChanged rather than send other content."""

    def __init__(self, file: OpenFile, span: Span, run_native: RunNative) -> None:
        self._file = file
        self._position, self._stop = span
        self._run_native = run_native

    def __iter__(self) -> Iterator[bytes]:
        file = self._file
        while (size := min(CHUNK_BYTES, self._stop - self._position)) > 0:
            chunk = file.read_cached(size, self._position)
            if chunk is None:
                chunk = self._run_native(partial(file.read, size, self._position))
            self._position += size
            if self._position == self._stop and file.is_unconfirmed:
                self._run_native(file.confirm)
            yield chunk

    def close(self) -> None:
        self._file.close()
