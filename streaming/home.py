"""The first page: all sources, folders and topics, with their links."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request, session, url_for

from sources.folders.folder import Folder
from streaming.admission import asker
from streaming.listings import (
    scopes_of,
    show_folders,
    topic_rows,
    topic_to_follow,
    topic_to_try,
)
from streaming.source_lookup import SourceLookup
from streaming.sources import Described, describe_sources, show_described

# A page has some 5 KB. Scopes are those of tokens, and so a few.
MAX_PAGES = 64


def make_blueprint(lookup: SourceLookup, folders: Mapping[str, Folder]) -> Blueprint:
    """Return the blueprint of `/`."""
    blueprint = Blueprint("home", __name__)
    # By scopes, attributes and mount: the sources at that time, and the page.
    pages: dict[Hashable, tuple[list[Described], str]] = {}

    @blueprint.get("/")
    def home() -> str:
        described = describe_sources(lookup)
        attributes = tuple(sorted(asker().attributes.items()))
        key = request.root_path, asker().scopes, attributes
        known = pages.get(key)
        # Not after a log-in, where each page has a form with a token.
        if "token" not in session and known is not None and known[0] == described:
            return known[1]
        page = render_template(
            "home.html",
            sources=show_described(described),
            folders=show_folders(folders),
            others=_others(),
        )
        if "token" not in session:
            if len(pages) >= MAX_PAGES:
                pages.clear()
            pages[key] = described, page
        return page

    @blueprint.app_context_processor
    def listings() -> dict[str, Any]:
        """Return the functions with which all pages list topics."""
        return {
            "topic_rows": topic_rows,
            "topic_to_follow": topic_to_follow,
            "topic_to_try": topic_to_try,
        }

    @blueprint.get("/favicon.ico")
    def icon() -> Response:
        # Browsers request it when they show something other than our pages.
        return current_app.send_static_file("icon.svg")

    return blueprint


def _others() -> list[dict[str, str]]:
    """Return the topics and logs in the caller's scopes, by name and address."""
    shown = []
    for name in scopes_of("subscribe"):
        if name == "*":
            shown.append({"name": "all topics", "url": url_for("events.show_all")})
            shown.append({"name": "all logs", "url": url_for("logs.show_all")})
            continue
        log = name.removeprefix("logs/") if name.startswith("logs/") else None
        if log is None:
            url = url_for("events.show_all", topic=name)
        elif log.endswith("*"):
            url = url_for("logs.show_all")
        else:
            url = url_for("logs.show", name=log)
        shown.append({"name": name, "url": url})
    return shown
