"""The first page: the sources with their links, and what is being exported, by reloading."""

from __future__ import annotations

from flask import Blueprint, render_template

from streaming.exports import show_export
from streaming.orders import Orders
from streaming.sources import show_sources
from workers.exports import Exports

EXPORTS_SHOWN = 20


def make_blueprint(exports: Exports, orders: Orders) -> Blueprint:
    """Return the blueprint of `/`."""
    blueprint = Blueprint("home", __name__)

    @blueprint.get("/")
    def home() -> str:
        newest = [show_export(exports, export) for export in exports.all()[:EXPORTS_SHOWN]]
        return render_template("home.html", sources=show_sources(orders), exports=newest)

    return blueprint
