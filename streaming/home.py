"""The first page: what can be had, with its links."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, current_app, render_template

from sources.folders import Folder
from streaming.listings import show_folders
from streaming.orders import Orders
from streaming.sources import show_sources


def make_blueprint(orders: Orders, folders: Mapping[str, Folder]) -> Blueprint:
    """Return the blueprint of `/`."""
    blueprint = Blueprint("home", __name__)

    @blueprint.get("/")
    def home() -> str:
        sources = show_sources(orders)
        return render_template("home.html", sources=sources, folders=show_folders(folders))

    @blueprint.get("/favicon.ico")
    def icon() -> Response:
        # Asked for by browsers that show something else than a page of ours.
        return current_app.send_static_file("icon.svg")

    return blueprint
