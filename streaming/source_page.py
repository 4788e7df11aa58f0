"""The page of a source: a form that makes a selection, its link, and its first rows.

All of it is made here, so that it works without JavaScript; static/js/source.js only asks again by
itself. Way in: render_source.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import Request, render_template, url_for
from werkzeug.datastructures import MultiDict

from exports.spec_reader import file_format_of
from sources.database import PreviewCell
from sources.errors import BadSelection
from sources.kinds import database_of
from sources.lists import item_text
from sources.query import Query
from streaming.admission import asker, in_turns
from streaming.source_lookup import SourceLookup
from wire.formats import EXTENSIONS

PREVIEW_ROWS = 20
FILTERS = 2
OPERATORS = {
    "eq": "equal to", "ne": "not equal to", "gt": "greater than", "gte": "at least",
    "lt": "less than", "lte": "at most", "in": "one of a,b,c", "like": "like U%",
    "null": "empty (1) or not (0)",
}  # fmt: skip


def render_source(
    request: Request, lookup: SourceLookup, source: Mapping[str, Any]
) -> tuple[str, int]:
    """Return the page and its status. source: as /sources/<name> shows it.

    Raises what SourceLookup.read_spec raises, but BadSelection, which the page says.
    """
    name = source["name"]
    if "denied" in source:
        return render_template("source.html", source=source), 200
    parameters = _parameters_of(request.args, source)
    extension = request.args.get("format", EXTENSIONS[0])
    shown: dict[str, Any] = {"problems": [], "rows": None, "names": []}
    # A folder of the same name would be what tar.zst is of.
    file_format_of(extension)
    try:
        spec = lookup.read_spec(name, extension, parameters, asker().attributes)
        assert isinstance(spec.query, Query)
        shown["names"] = [column.name for column in spec.query.columns]
        query = spec.query
        rows = lookup.ask(name, partial(database_of(query).preview, query, PREVIEW_ROWS))
        shown["rows"] = rows and [[_show(cell) for cell in row] for row in in_turns(rows)]
    except BadSelection as error:
        shown["problems"] = error.problems
    page = render_template(
        "source.html",
        source=source,
        chosen=_chosen(request.args, source, extension),
        operators=OPERATORS,
        formats=EXTENSIONS,
        download=_download(request, name, extension, parameters),
        report=f"{request.script_root}/report/{name}?{urlencode(parameters)}",
        **shown,
    )
    return page, 400 if shown["problems"] else 200


def _parameters_of(fields: MultiDict[str, str], source: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the query parameters of /download for what was filled in; empty fields say nothing."""
    parameters = [
        (parameter["name"], fields[parameter["name"]])
        for parameter in source["parameters"]
        if fields.get(parameter["name"])
    ]
    names = {column["name"] for column in source["columns"]}
    if columns := fields.getlist("columns"):
        # A box that is ticked is a name; what somebody wrote into the address may be a list.
        texts = [item_text(each) if each in names else each for each in columns]
        parameters.append(("columns", ",".join(texts)))
    parameters += [(f"{f['column']}__{f['operator']}", f["value"]) for f in _filters(fields)]
    if sort := fields.get("sort"):
        minus = "-" if sort not in names and sort[1:] in names else ""
        name = sort.removeprefix(minus)
        parameters.append(("sort", minus + item_text(name) if name in names else sort))
    if limit := fields.get("limit"):
        parameters.append(("limit", limit))
    return parameters


def _filters(fields: MultiDict[str, str]) -> list[dict[str, str]]:
    three = zip(
        fields.getlist("where"), fields.getlist("operator"), fields.getlist("value"), strict=False
    )
    return [{"column": c, "operator": o, "value": v} for c, o, v in three if c]


def _chosen(
    fields: MultiDict[str, str], source: Mapping[str, Any], extension: str
) -> dict[str, Any]:
    """Return what the form shows as filled in, with one filter more than there are."""
    filters = _filters(fields)
    filters += [{"column": "", "operator": "eq", "value": ""}] * max(1, FILTERS - len(filters))
    return {
        "columns": fields.getlist("columns"),
        "filters": filters,
        "parameters": {
            p["name"]: fields.get(p["name"], p["default"]) for p in source["parameters"]
        },
        "sort": fields.get("sort", ""),
        "limit": fields.get("limit", ""),
        "format": extension,
    }


def _download(
    request: Request, name: str, extension: str, parameters: list[tuple[str, str]]
) -> dict[str, Any]:
    file = f"{name}.{extension}"
    url = url_for("exports.download", file=file) + (
        f"?{urlencode(parameters)}" if parameters else ""
    )
    absolute = request.host_url.rstrip("/") + url
    fields = [("source", name), ("format", extension), *parameters]
    return {"name": file, "url": url, "quoted": shlex.quote(absolute), "fields": fields}


def _show(cell: PreviewCell) -> dict[str, str]:
    """Return a cell as the preview shows it."""
    value, length = cell
    if value is None:
        return {"text": "null" if length is None else f"{length:,} bytes", "kind": "null"}
    if not isinstance(value, str):
        return {"text": str(value), "kind": "number"}
    is_cut = length is not None and length > len(value)
    return {"text": f"{value}… ({length:,} characters)" if is_cut else value, "kind": "cell"}
