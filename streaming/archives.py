"""Whole folders as one download: a ZIP with a known length that can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

from flask import Blueprint, Response, request

from journal import ReaderLeft, RunNative
from sources.folders.archives import ArchiveReader, Digests, ZipArchive
from sources.folders.folder import Folder
from sources.folders.snapshots import take_snapshot
from streaming.content import answer_content, etag_of
from streaming.files import folder_named
from streaming.presence import make_has_left
from wire.filenames import content_disposition
from wire.ranges import Span

# How often the client is checked while files are read for their checksums only.
PRESENCE_CHECK_S = 0.5


def make_blueprint(folders: Mapping[str, Folder], run_native: RunNative) -> Blueprint:
    """Return the blueprint of /download/<folder>.zip."""
    blueprint = Blueprint("archives", __name__)
    digests = Digests()

    @blueprint.get("/download/<name>.zip")
    def zip_of(name: str) -> Response:
        folder = folder_named(folders, name)
        has_left = make_has_left(request.environ)
        content = run_native(partial(ZipContent, folder, digests, run_native, has_left))
        return answer_content(request, content)

    return blueprint


class ZipContent:
    """A folder as a streaming.content.Content. Constructed on a thread that may wait for a disk.

    has_left: whether the client has left.
    """

    media_type = "application/zip"

    def __init__(
        self,
        folder: Folder,
        digests: Digests,
        run_native: RunNative,
        has_left: Callable[[], bool] = lambda: False,
    ) -> None:
        self._has_left = has_left
        snapshot = take_snapshot(folder)
        self._archive = ZipArchive(folder, snapshot, digests)
        self._run_native = run_native
        self.name = f"folder={folder.name}.zip"
        self.size = self._archive.layout.size
        self.etag = etag_of(snapshot.digest(), is_settled=snapshot.is_settled)
        self.modified_s: float | None = None
        self.headers: Mapping[str, str] = {
            "Content-Disposition": content_disposition(f"{folder.name}.zip"),
            "Cache-Control": "private, no-cache",
        }

    def read(self, span: Span) -> ZipPiece:
        return ZipPiece(ArchiveReader(self._archive, *span), self._run_native, self._has_left)

    def close(self) -> None:
        """Do nothing: a snapshot holds nothing open."""


class ZipPiece:
    """The bytes of a span of an archive. Raises ReaderLeft when the client has left."""

    def __init__(
        self,
        reader: ArchiveReader,
        run_native: RunNative,
        has_left: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reader = reader
        self._run_native = run_native
        self._has_left = has_left

    def __iter__(self) -> Iterator[bytes]:
        checked_s = time.monotonic()
        while (chunk := self._run_native(self._reader.read)) is not None:
            if chunk:
                yield chunk
            elif time.monotonic() - checked_s > PRESENCE_CHECK_S:
                checked_s = time.monotonic()
                if self._has_left():
                    raise ReaderLeft("the client has left")

    def close(self) -> None:
        # If a thread still reads, it closes the file after that.
        with suppress(ValueError):
            self._reader.close()
