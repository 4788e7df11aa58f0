"""The sources: their columns, rows and formats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request, url_for

from sources.columns import shown_type
from sources.database import Description, Source
from sources.errors import MissingAttribute, SourceUnavailable
from streaming.admission import asker, can, in_turns
from streaming.inquiries import Late
from streaming.pages import wants_page
from streaming.source_lookup import SourceLookup
from streaming.source_page import render_source
from wire.formats import COMPRESSIONS, EXTENSIONS, FORMATS

# A source with its description, the error of its database, or Late.
Described = tuple[Source, Description | SourceUnavailable | Late]

NO_ANSWER = "Its database has not answered yet."
AS_BEFORE = "This is its last known description."


def make_blueprint(lookup: SourceLookup) -> Blueprint:
    """Return the blueprint of `/sources`."""
    blueprint = Blueprint("sources", __name__)

    @blueprint.get("/sources")
    def show_all() -> Response | str:
        shown = show_sources(lookup)
        if wants_page(request):
            return render_template("sources.html", sources=shown, named=len(lookup.names()))
        # One after another: all at once may take long without a turn for others.
        texts = [json.dumps(each, separators=(",", ":")) for each in in_turns(shown)]
        return Response(f'{{"sources":[{",".join(texts)}]}}\n', mimetype="application/json")

    @blueprint.get("/sources/<name>")
    def show(name: str) -> Response | tuple[str, int]:
        found = lookup.source(name)
        source = _show_source(found, lookup.inquiries.describe(found))
        if wants_page(request):
            return render_source(request, lookup, source)
        return jsonify(source)

    return blueprint


def show_sources(lookup: SourceLookup) -> list[dict[str, Any]]:
    """Return the sources that the caller may read.

    One that cannot be read now has an `error` in place of its columns. One whose database has not
    answered yet has `pending`, beside its last known columns if there are any.
    """
    return show_described(describe_sources(lookup))


def describe_sources(lookup: SourceLookup) -> list[Described]:
    """Return the sources that the caller may read, with their descriptions."""
    sources = [lookup.source(name) for name in filter(partial(can, "read"), lookup.names())]
    return list(zip(sources, lookup.inquiries.describe_all(sources), strict=True))


def show_described(described: Sequence[Described]) -> list[dict[str, Any]]:
    """Return sources as show_sources does."""
    return [_show_described(*each) for each in described]


def _show_described(
    source: Source, described: Description | SourceUnavailable | Late
) -> dict[str, Any]:
    if isinstance(described, SourceUnavailable):
        return {"name": source.name, "error": str(described)}
    if not isinstance(described, Late):
        return _show_source(source, described)
    if described.last is None:
        return {"name": source.name, "pending": NO_ANSWER}
    return {**_show_source(source, described.last), "pending": f"{NO_ANSWER} {AS_BEFORE}"}


def _show_source(source: Source, description: Description) -> dict[str, Any]:
    stem = url_for("exports.download", file=f"{source.name}.")
    denied = _why_denied(source)
    return {
        "name": source.name,
        **({"denied": denied} if denied else {}),
        "columns": [
            {"name": column.name, "type": shown_type(column)}
            for column in in_turns(description.columns)
        ],
        "parameters": [parameter.__dict__ for parameter in source.parameters],
        "rows_estimate": description.rows_estimate,
        "formats": list(FORMATS),
        "compressions": list(COMPRESSIONS),
        "urls": {extension: stem + extension for extension in EXTENSIONS},
    }


def _why_denied(source: Source) -> str:
    """Return why the caller gets no rows of a readable source, "" where it gets some."""
    if source.where is None:
        return ""
    try:
        source.where.visibility_key(source.name, asker().attributes)
    except MissingAttribute as error:
        return str(error)
    return ""
