"""Listings of folders and of topics, as JSON and as pages, within the caller's scopes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from flask import Request, Response, jsonify, render_template, url_for

from auth.access import ADMIN
from sources.folders.folder import DirectoryEntry, Folder
from streaming.admission import asker, can
from streaming.errors import Refusal
from streaming.pages import wants_page
from wire.formats import TARBALL
from wire.media import guess_media_type, is_shown

# The entries of a listing by default, and at most.
PAGE = 1000
MAX_PAGE = 10_000

_SORTS = {
    "name": lambda entry: entry.name,
    "size": lambda entry: (entry.size, entry.name),
    "modified": lambda entry: (entry.modified_s, entry.name),
}


def show_folders(folders: Mapping[str, Folder]) -> list[dict[str, str]]:
    """Return the folders that the caller may read, with the addresses of lists and archives."""
    return [
        {"name": name, "url": url_for("files.show", name=name), **archive_urls(name)}
        for name in folders
        if can("read", name)
    ]


def archive_urls(name: str) -> dict[str, str]:
    """Return the addresses of a folder's archives, by kind."""
    tar = f"{name}.{TARBALL.extension}"
    zip_url = url_for("archives.zip_of", name=name)
    return {"zip": zip_url, "tar": url_for("exports.download", file=tar)}


def answer_listing(
    request: Request, folder: Folder, path: str, entries: list[DirectoryEntry]
) -> Response:
    """Return a page of the entries of the folder at path. Raises Refusal (400)."""
    sort = request.args.get("sort", "name")
    key = _SORTS.get(sort.removeprefix("-"))
    if key is None:
        raise Refusal(
            400, "malformed", f"sort is one of {', '.join(_SORTS)}, also with a - in front"
        )
    entries.sort(key=key, reverse=sort.startswith("-"))
    limit = read_count(request, "limit", PAGE, 1, MAX_PAGE)
    offset = read_count(request, "offset", 0, 0, 10**9)
    base = url_for("files.show", name=folder.name) + (f"{quote(path)}/" if path else "")
    listing: dict[str, Any] = {
        "folder": folder.name,
        "path": path,
        "entries": [_show(entry, base) for entry in entries[offset : offset + limit]],
        "total": len(entries),
        "next": None,
    }
    if offset + limit < len(entries):
        listing["next"] = f"{base}?sort={sort}&limit={limit}&offset={offset + limit}"
    if wants_page(request):
        crumbs = _crumbs(folder.name, path)
        for entry in listing["entries"]:
            entry["media"] = _media_of(entry)
        urls = {f"{kind}_url": url for kind, url in archive_urls(folder.name).items()}
        response = Response(
            render_template("files.html", crumbs=crumbs, sort=sort, **urls, **listing)
        )
    else:
        response = jsonify(listing)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


# The default topic for a test event.
_TO_TRY = "demo/test"
# Clients do not publish to these, though a scope may name them.
_NOT_TO_TRY = ("broadcast", "exports", "status")
# Each export has a topic below this.
_EXPORTS = "exports/"


def topic_rows(topics: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of a page's list of topics: those of single exports are one, `exports/*`.

    That row has `exports`, their number.
    """
    single = [
        each
        for each in topics
        if each["topic"].startswith(_EXPORTS) and not each["topic"].endswith("*")
    ]
    if not single:
        return list(topics)
    kept = sum(each["events"] for each in single)
    folded = {"topic": f"{_EXPORTS}*", "exports": len(single), "events": kept}
    others = [each for each in topics if not each["topic"].startswith(_EXPORTS)]
    return [*others, folded]


def topic_to_follow(topics: Sequence[Mapping[str, Any]]) -> str:
    """Return the topic that the page shows first, "" for none. topics: those of the caller."""
    names = [each["topic"] for each in topics]
    if "demo/*" in names:
        return "demo/*"
    wide = [name for name in names if not name.startswith(_EXPORTS)]
    return next(iter([*wide, *scopes_of("subscribe"), *names]), "")


def topic_to_try() -> str:
    """Return a topic to which the caller may publish a test event, "" for none."""
    if can("publish", _TO_TRY):
        return _TO_TRY
    names = [name for name in scopes_of("publish") if name not in _NOT_TO_TRY]
    # Not the scope `*`, which includes _TO_TRY.
    return f"{names[0][:-1]}test" if names and names[0].endswith("*") else "".join(names[:1])


def scopes_of(action: str) -> list[str]:
    """Return the names in the caller's scopes for an action, `*` for an admin."""
    scopes = asker().scopes
    names = [name for kind, _, name in (scope.partition(":") for scope in scopes) if kind == action]
    return ["*"] if ADMIN in scopes else names


def _crumbs(name: str, path: str) -> list[dict[str, str]]:
    """Return the folders from the first one down to path, each with its address."""
    url = url_for("files.show", name=name)
    crumbs = [{"name": name, "url": url}]
    for part in path.split("/") if path else []:
        url += quote(part) + "/"
        crumbs.append({"name": part, "url": url})
    return crumbs


def _show(entry: DirectoryEntry, base: str) -> dict[str, Any]:
    return {
        "name": entry.name,
        "type": "folder" if entry.is_folder else "file",
        "size": None if entry.is_folder else entry.size,
        "modified": entry.modified_s,
        "url": base + quote(entry.name) + ("/" if entry.is_folder else ""),
    }


def _media_of(entry: Mapping[str, Any]) -> str:
    """Return how a page embeds a file: image, audio, video, or "" for not at all."""
    if entry["type"] == "folder" or not is_shown(guess_media_type(entry["name"])):
        return ""
    kind = guess_media_type(entry["name"]).partition("/")[0]
    return kind if kind in ("image", "audio", "video") else ""


def show_utc(time_s: float) -> str:
    """Return a time for people, a dash for one outside of the calendar."""
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "–"


_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def show_bytes(size_bytes: float) -> str:
    """Return a size for people, as static/js/page.js does: `999 B`, `31.0 MB`."""
    unit = 0
    while size_bytes >= 1000 and unit < len(_UNITS) - 1:
        size_bytes /= 1000
        unit += 1
    digits = 1 if unit and size_bytes < 100 else 0
    return f"{size_bytes:.{digits}f} {_UNITS[unit]}"


def read_count(request: Request, key: str, default: int, least: int, most: int) -> int:
    """Return the number of a query parameter. Raises Refusal (400)."""
    text = request.args.get(key)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise Refusal(400, "malformed", f"{key} is a whole number from {least} to {most}")
    return int(text)
