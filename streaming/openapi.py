"""The interface described for programs and for people: /openapi.json and /api.

openapi.toml beside this says what there is, briefly; make_document makes OpenAPI of it, and the
page is rendered from that. tests/test_openapi.py compares it with the routes, and
tests/system/test_openapi.py with what a server answers.
Way in: make_blueprint. Source: https://spec.openapis.org/oas/v3.1.0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request
from werkzeug.http import HTTP_STATUS_CODES

from sources.columns import TYPES
from sources.selection import OPERATORS
from wire.formats import EXTENSIONS, TARBALL, media_type_of

ERROR_MEDIA = {"application/json": "Error", "text/html": "Page"}
# What openapi.toml need not say: what every address may answer, what those with a parameter in the
# path may, and those that ask who asks, where a browser's GET is led to /login.
OF_ALL = (400, 403, 414, 429, 431)
OF_PATHS = (308, 404, 405)
OF_ACCESS = (401,)
OF_ACCESS_BY_GET = (303, 401)

Node = dict[str, Any]


def make_blueprint() -> Blueprint:
    """Return the blueprint of /openapi.json and /api."""
    blueprint = Blueprint("openapi", __name__)
    made = make_document()
    blueprint.add_app_template_filter(lambda node: resolve(made, node), "resolved")

    @blueprint.get("/openapi.json")
    def document() -> Response:
        return jsonify({**made, "servers": [{"url": request.script_root or "/"}]})

    @cache
    def interface() -> str:
        # The same for everybody; it takes ten milliseconds, in which nobody else is served.
        return render_template("interface.html", document=made, groups=group(made))

    @blueprint.get("/api")
    def page() -> str:
        return render_template("api.html", document=made, interface=interface())

    return blueprint


def make_document() -> Node:
    """Return the OpenAPI document."""
    told = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    told["schemas"]["Format"]["enum"] = [*EXTENSIONS, TARBALL.extension]
    told["schemas"]["Operator"]["enum"] = list(OPERATORS)
    told["schemas"]["ColumnType"]["enum"] = list(TYPES)
    paths: Node = {}
    for address, operation in told["operations"].items():
        method, path = address.split(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation)
    errors = {
        status: each if "text/html" in each else {**each, **ERROR_MEDIA}
        for status, each in told["errors"].items()
    }
    return {
        "openapi": "3.1.0",
        "info": told["info"],
        "tags": told["tags"],
        "security": [{name: []} for name in told["security"]],
        "paths": paths,
        "components": {
            "schemas": told["schemas"],
            "parameters": {
                key: {"name": key, "required": each["in"] == "path", **each}
                for key, each in told["parameters"].items()
            },
            "responses": {_name(status): _answer(each) for status, each in errors.items()},
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in told["headers"].items()
            },
            "securitySchemes": told["security"],
        },
    }


def resolve(document: Node, node: Node) -> Node:
    """Return what a node of the document refers to; itself if it does not."""
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


def _operation(method: str, path: str, told: Node) -> Node:
    """Return an operation of the document. told: as openapi.toml has it."""
    is_open = told.get("open", False)
    answers = {status: _answer(answer) for status, answer in told["answers"].items()}
    shared = {*OF_ALL, *told.get("errors", ()), *(OF_PATHS if "{" in path else ())}
    if not is_open:
        shared.update(OF_ACCESS_BY_GET if method == "GET" else OF_ACCESS)
    for status in shared:
        answers[str(status)] = _reference("responses", _name(status))
    operation: Node = {
        "operationId": told["id"],
        "tags": [told["tag"]],
        "summary": told["summary"],
        "parameters": [_reference("parameters", key) for key in told.get("parameters", ())],
        "responses": dict(sorted(answers.items())),
    }
    if "body" in told:
        operation["requestBody"] = {"required": True, "content": _content(told["body"])}
    if is_open:
        operation["security"] = []
    return operation


def _answer(told: Mapping[str, Any]) -> Node:
    answer: Node = {"description": told["says"]}
    if headers := told.get("headers"):
        answer["headers"] = {name: _reference("headers", name) for name in headers}
    media = {key: name for key, name in told.items() if key not in ("says", "headers")}
    if media:
        answer["content"] = _content(media)
    return answer


def _content(media: Mapping[str, str]) -> Node:
    """Return what can be had as each media type. media: with the name of its schema."""
    content = {}
    for media_type, schema in media.items():
        for each in _export_types() if media_type == "export" else [media_type]:
            content[each] = {"schema": _reference("schemas", schema)}
    return content


def _export_types() -> list[str]:
    kinds = (media_type_of(extension) for extension in (*EXTENSIONS, TARBALL.extension))
    return list(dict.fromkeys(kind.partition(";")[0] for kind in kinds))


def _reference(kind: str, name: str) -> Node:
    return {"$ref": f"#/components/{kind}/{name}"}


def _name(status: int | str) -> str:
    """Return the name of a shared answer: `NotFound`."""
    return HTTP_STATUS_CODES[int(status)].replace(" ", "")
