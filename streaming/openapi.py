"""The interface described for programs and for people: /openapi.json and /api.

openapi.json beside this is the document, without the address of the server; the page is rendered
from it. tests/test_openapi.py compares it with the routes, and tests/system/test_openapi.py with
the answers of a server. Way in: make_blueprint. Source: https://spec.openapis.org/oas/v3.1.0.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

Node = dict[str, Any]


def make_blueprint() -> Blueprint:
    """Return the blueprint of /openapi.json and /api."""
    blueprint = Blueprint("openapi", __name__)
    written = read_document()
    blueprint.add_app_template_filter(lambda node: resolve(written, node), "resolved")

    @blueprint.get("/openapi.json")
    def document() -> Response:
        return jsonify({**written, "servers": [{"url": request.script_root or "/"}]})

    @cache
    def interface() -> str:
        # The same for all clients; it takes ten milliseconds, in which no other client is served.
        return render_template("interface.html", document=written, groups=group(written))

    @blueprint.get("/api")
    def page() -> str:
        return render_template("api.html", document=written, interface=interface())

    return blueprint


def read_document() -> Node:
    """Return the OpenAPI document, without `servers`."""
    document: Node = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return document


def resolve(document: Node, node: Node) -> Node:
    """Return the target of a node's reference; the node itself if it has none."""
    if "$ref" not in node:
        return node
    found = document
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found


def group(document: Node) -> dict[str, list[tuple[str, str, Node]]]:
    """Return (method, path, operation) of all operations, by tag."""
    groups: dict[str, list[tuple[str, str, Node]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups[operation["tags"][0]].append((method.upper(), path, operation))
    return groups
